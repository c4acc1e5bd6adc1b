"""Every number of arXiv 2603.06698 that is known, with the place where it stands.

v1 is "Asymmetric Distillation and Information Retention in Capacity-Constrained Cross-Modal Transfer", with a public notebook; v2 is
"Breaking the Geometric Bottleneck: Contrastive Expansion in Asymmetric Cross-Modal Distillation" (both Kabir Thayani, 2026).
"""

from __future__ import annotations

import dataclasses

from ..settings.configs import Setting

CLIP, DINO = "CLIP on CIFAR-10", "DINOv2 on CIFAR-100"
TEACHER, COSINE, EXPANDED = "teacher", "cosine", "cosine+infonce"
RANK, DIMENSIONS, INFONCE, UNIFORMITY = "effective_rank", "n_components_90", "infonce", "uniformity"
REACHED = "directions_to_90"
CLEAN = "accuracy"
SIZES = {1: "S", 2: "M", 4: "L"}  # by width


def captured_by(n_directions: int) -> str:
    """The quantity: share of a student's variance in so many leading directions of the teacher."""
    return f"captured/{n_directions}"


def accuracy_at(sigma: float) -> str:
    """The quantity: accuracy under noise that is added after the teacher's normalisation; clean at 0."""
    if not sigma:
        return CLEAN
    return f"accuracy/normalized/{sigma:g}"


@dataclasses.dataclass(frozen=True)
class Point:
    """A published number.

    Attributes:
        where: the version and the place in it.
        of: teacher and images.
        quantity: RANK, INFONCE, ... or what `captured_by` and `accuracy_at` name.
        objective: TEACHER, or the objective of the student.
        width: of the student; None where it is not stated.
        value: accuracies are shares, not percent.
        scatter: standard deviation over three seeds with ddof = 0; None where there is none.
        augmented: whether the student was trained on crops and flips.
        sign: "about" or "above", where it is published so.
    """

    where: str
    of: str
    quantity: str
    objective: str
    width: int | None
    value: float
    scatter: float | None = None
    augmented: bool = False
    sign: str = ""


def _of_widths(where: str, quantity: str, values: tuple[float, float, float]) -> list[Point]:
    """One number for each of S, M and L."""
    return [Point(where, CLIP, quantity, COSINE, width, value) for width, value in zip((1, 2, 4), values, strict=True)]


def _under_noise(
    where: str, objective: str, width: int | None, values: str, scatter: str = "", augmented: bool = False
) -> list[Point]:
    """Accuracies in percent at σ = 0, 0.05, 0.1 and 0.2."""
    quantities = [accuracy_at(sigma) for sigma in (0, 0.05, 0.1, 0.2)]
    # Percent with two decimals.
    shares = [round(float(value) / 100, 4) for value in values.split()]
    spreads: list[float | None] = [None] * len(shares)
    if scatter:
        spreads = [round(float(value) / 100, 4) for value in scatter.split()]
    return [
        Point(where, CLIP, quantity, objective, width, share, spread, augmented)
        for quantity, share, spread in zip(quantities, shares, spreads, strict=True)
    ]


POINTS: tuple[Point, ...] = (
    Point("v1, table I", CLIP, RANK, TEACHER, None, 88.68),
    *_of_widths("v1, table I", RANK, (15.91, 16.62, 16.66)),
    Point("v1's notebook", CLIP, DIMENSIONS, TEACHER, None, 152),
    *_of_widths("v1's notebook", DIMENSIONS, (19, 20, 20)),
    Point("v2, abstract", CLIP, RANK, EXPANDED, None, 38, sign="about"),
    Point("v2, figure 2", DINO, RANK, COSINE, None, 54, sign="about"),
    Point("v2, figure 2", DINO, RANK, EXPANDED, None, 82, sign="about"),
    Point("v1, figure 1", CLIP, captured_by(1), COSINE, None, 0.29, sign="about"),
    Point("v1, figure 1", CLIP, captured_by(20), COSINE, None, 0.861),
    Point("v1, text", CLIP, captured_by(20), COSINE, None, 0.9, sign="above"),
    Point("v1, figure 1", CLIP, captured_by(100), COSINE, None, 0.978),
    Point("v1, figure 1", CLIP, REACHED, COSINE, None, 28),
    *_of_widths("v1, figure 2", INFONCE, (3.3117, 3.2996, 3.2738)),
    *_of_widths("v1, figure 2", UNIFORMITY, (-0.4061, -0.4153, -0.4285)),
    *_under_noise("v1's notebook", TEACHER, None, "94.31 92.19 89.35 84.12"),
    *_under_noise("v1, figure 3", COSINE, 1, "71.11 67.82 54.84 27.35", "0.44 0.74 3.73 5.92"),
    *_under_noise("v1, figure 3", COSINE, 2, "72.32 68.36 52.49 24.15", "0.50 0.60 7.52 6.71"),
    *_under_noise("v1, figure 3", COSINE, 4, "72.94 69.09 43.76 14.05", "0.43 0.38 6.10 1.40"),
    *_under_noise("v1's notebook", COSINE, 4, "69.34 67.01 49.49 14.04", augmented=True),
)


def is_published(setting: Setting) -> str | None:
    """CLIP or DINO where a setting is that of the paper, with all of its images; None elsewhere."""
    if setting.n_train is not None or setting.teacher_transform != "none":
        return None
    return {("clip", "cifar10"): CLIP, ("dinov2", "cifar100"): DINO}.get((setting.teacher, setting.data))


def comparability(settings: tuple[Setting, ...]) -> str:
    """A sentence that says which of these settings the published numbers are of."""
    first = f"Published numbers are of {CLIP} and {DINO}"
    same = [setting.name for setting in settings if is_published(setting)]
    if len(same) == len(settings):
        return f"{first}, and so are ours."
    if same:
        return f"{first}; of ours only {', '.join(same)} is that: elsewhere compare patterns, not digits."
    return f"{first}; none of ours is either: compare patterns, not digits. The preset “paper” runs those settings."
