"""The eight claims of arXiv 2603.06698, each as named tests with the range that bears it out and the published figure.

What must hold for a test to be asked stands with it as `given`. Claim 6 has no such condition: a loss and a uniformity
can be compared whatever happened to the rank.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from ..settings.configs import Config, Setting, short
from .claims_under_noise import augmentation, brittleness
from .effects import ALIKE, KEPT, RANK, beside, collapsed, gain, mean, over_widths, share, varied_teacher, within
from .reader import Models
from .uncertainty import Measured, combined
from .verdicts import Claim, Statistic, Test, not_there

# Shares of variance that differ by no more than this count as equal.
CAPTURED_ALIKE = (-0.02, 0.02)
CAPTURED = 0.9
CLIP_LIKE, DINO_LIKE = ("clip", "tiny-clip"), ("dinov2", "tiny-dino")
EXPANSION = 2.4  # published


def _is_published(setting: Setting) -> bool:
    """CLIP as it is on all of CIFAR-10, of which most published figures are."""
    found = (setting.teacher, setting.teacher_transform, setting.data, setting.n_train)
    return found == ("clip", "none", "cifar10", None)


def _alike(
    config: Config, setting: Setting, key: str, name: str, within: tuple[float, float], published: dict[int, str]
) -> list[Test]:
    """Tests that a number is the same at every width as at the smallest, under the cosine objective."""
    ratio = key.startswith("log_")
    smallest, *others = sorted(config.widths_of(setting))

    def change(width: int) -> Statistic:
        return lambda m: m.student(key, width) - m.student(key, smallest)

    if not others:
        return [Test(f"{name}, between widths", not_there("second width"), *within, "–", ratio)]
    sign = "minus"
    if ratio:
        sign = "over"
    return [
        Test(f"{name}, width {w} {sign} width {smallest}", change(w), *within, published.get(w, "–"), ratio)
        for w in others
    ]


def _given(tests: list[Test], *conditions: Test) -> list[Test]:
    """The same tests, asked only where these conditions hold too."""
    return [dataclasses.replace(test, given=(*test.given, *conditions)) for test in tests]


def _collapse(config: Config, setting: Setting) -> list[Test]:
    """Students keep little of their teacher's effective rank, and all of them equally little."""
    published = {1: "0.18 (15.91 of 88.68)", 2: "0.19 (16.62)", 4: "0.19 (16.66)"}

    def kept(width: int) -> Statistic:
        return lambda m: share(m, width)

    tests = [
        Test(f"effective rank at width {w} over the teacher's", kept(w), 0, KEPT, published.get(w, "–"), ratio=True)
        for w in config.widths_of(setting)
    ]
    tests += _alike(config, setting, RANK, "effective rank", ALIKE, {2: "1.04", 4: "1.05"})
    return _given(tests, varied_teacher(setting))


def _objective_not_architecture(config: Config, setting: Setting) -> list[Test]:
    """Architectures crossed with objectives at the smallest width, in a table of two by two with each other architecture.

    Every architecture collapses under cosine, and the objective moves the rank by more than the architecture does: the effect of
    each is a mean over both values of the other, as in an analysis of variance. The table's own effects stand beside.
    """
    smallest, base = min(config.widths_of(setting)), config.student

    def rank(m: Models, architecture: str, objective: str) -> Measured:
        return m.student(RANK, smallest, objective=objective, architecture=architecture)

    def kept(name: str) -> Statistic:
        return lambda m: rank(m, name, "cosine") - m.teacher(RANK)

    def by_objective(m: Models, architectures: tuple[str, ...]) -> Measured:
        return mean([rank(m, a, m.contrastive) - rank(m, a, "cosine") for a in architectures])

    def by_architecture(m: Models, name: str) -> Measured:
        return mean([rank(m, name, objective) - rank(m, base, objective) for objective in ("cosine", m.contrastive)])

    def larger_effect(name: str) -> Statistic:
        def statistic(m: Models) -> Measured:
            architecture = by_architecture(m, name)
            # Either architecture may be the wider one.
            return combined(
                [by_objective(m, (base, name)), architecture], [1.0, -math.copysign(1.0, architecture.value)]
            )

        return statistic

    def within_one(name: str) -> Test:
        text = f"{short(name)}: effective rank with InfoNCE over without"
        return Test(text, lambda m: by_objective(m, (name,)), ALIKE[1], math.inf, ratio=True, beside=True)

    def change(name: str) -> Test:
        text = f"{short(name)} over {short(base)}, mean of both objectives"
        return Test(text, lambda m: by_architecture(m, name), *ALIKE, ratio=True, beside=True)

    tests = []
    for name in setting.architectures:
        text = f"{short(name)}: cosine student's effective rank over the teacher's"
        effect = f"InfoNCE's effect on the rank over that of {short(name)} in place of {short(base)}"
        tests += [
            Test(text, kept(name), 0, KEPT, ratio=True),
            Test(effect, larger_effect(name), 1, math.inf, ratio=True),
            change(name),
            within_one(name),
        ]
    if tests:
        tests.append(within_one(base))
    return _given(tests, collapsed(config, setting))


def _expansion(config: Config, setting: Setting) -> list[Test]:
    """With InfoNCE the rank grows at the run's own weight and temperature, and at all others of the family that it has.

    The paper states neither, so its 2.4 is asked to lie between the family's smallest and largest expansion.
    """
    smallest = min(config.widths_of(setting))
    tests = [
        Test(
            "effective rank with InfoNCE over without, mean of widths",
            over_widths(lambda m, width: gain(m, width, RANK)), ALIKE[1], math.inf, "2.4", ratio=True,
        )
    ]  # fmt: skip
    family = [name for name in setting.variants if name.startswith("cosine+infonce@") and "epochs" not in name]

    def expansion(name: str) -> Statistic:
        return lambda m: gain(m, smallest, RANK, name)

    tests += [
        Test(f"the same with {name.partition('@')[2]}, width {smallest}", expansion(name), 1, math.inf, ratio=True)
        for name in family
    ]

    def extreme(choose: Callable[..., Measured]) -> Statistic:
        def statistic(m: Models) -> Measured:
            each = [gain(m, smallest, RANK, name) for name in (m.contrastive, *family)]
            return choose(each, key=lambda measured: measured.value)

        return statistic

    if family:
        # Other teachers and images need not show what CLIP on CIFAR-10 does.
        shown = not _is_published(setting)
        for name, choose, low, high in (("smallest", min, 0, EXPANSION), ("largest", max, EXPANSION, math.inf)):
            text = f"the {name} of these, width {smallest}"
            tests.append(Test(text, extreme(choose), low, high, "2.4", ratio=True, beside=shown))
    return _given(tests, varied_teacher(setting), collapsed(config, setting))


def _dino(config: Config, setting: Setting) -> list[Test]:
    """Students of DINO keep a larger share of their teacher's rank than those of CLIP, and InfoNCE adds to that."""
    if setting.teacher not in DINO_LIKE:
        return []
    clip = beside(config, setting, lambda other: other.teacher in CLIP_LIKE)
    if clip is None:
        return [Test("against CLIP", not_there(f"CLIP on {setting.data}, beside DINO"), ALIKE[1], math.inf)]
    smallest = min(config.widths_of(setting))

    def against_clip(m: Models) -> Measured:
        return share(m, smallest) - within(clip, lambda c: share(c, smallest))(m)

    def more_uniform(m: Models) -> Measured:
        return m.teacher("mean_cosine") - within(clip, lambda c: c.teacher("mean_cosine"))(m)

    prevented = f"share of its teacher's rank that the cosine student keeps, over that of {clip.name}, width {smallest}"
    needed = f"effective rank with InfoNCE over without, width {smallest}"
    tests = [
        Test(prevented, against_clip, ALIKE[1], math.inf, "of ranks 3.4 (54 over 16)", ratio=True),
        Test(needed, lambda m: gain(m, smallest, RANK), ALIKE[1], math.inf, "1.5 (82 over 54)", ratio=True),
    ]
    cone = Test(
        f"mean cosine of {setting.teacher}'s features minus that of {clip.teacher}'s", more_uniform, -math.inf, 0
    )
    return _given(tests, collapsed(config, clip), cone)


def _leading_directions(config: Config, setting: Setting) -> list[Test]:
    """Most of a student's variance lies in the teacher's leading directions, at every width.

    The text says so of 20 directions; the paper's figure, with the student not centred, shows .861 there and .90 at the 28th.
    """
    k, k_figure = config.evaluation.leading, config.evaluation.leading_figure

    def kept(width: int) -> Statistic:
        return lambda m: m.student("captured", width)

    def figure(key: str) -> Statistic:
        return over_widths(lambda m, width: m.student(key, width))

    tests = [
        Test(f"variance at width {w} in the teacher's leading {k} directions", kept(w), CAPTURED, math.inf, "above 0.9 (text)")
        for w in config.widths_of(setting)
    ]  # fmt: skip
    alike = dict.fromkeys(config.widths_of(setting), "indistinguishable")
    tests += _alike(config, setting, "captured", "the same", CAPTURED_ALIKE, alike)
    drawn = "as the paper's figure draws it, student not centred, mean of widths: leading {}"
    for n, key, published in ((k, "captured", "0.861 (figure)"), (k_figure, "captured_figure", "0.90 (figure)")):
        # In the published setting the figure is what is tested; elsewhere it shows what the two definitions differ by.
        low, high = CAPTURED, math.inf
        if _is_published(setting) and n == k:
            low, high = 0.861 + CAPTURED_ALIKE[0], 0.861 + CAPTURED_ALIKE[1]
        text = drawn.format(n)
        tests.append(Test(text, figure(f"{key}_student_not_centred"), low, high, published, beside=True))
    tests.append(
        Test(f"centred, mean of widths: leading {k_figure}", figure("captured_figure"), CAPTURED, math.inf, beside=True)
    )
    own = Test(
        f"variance of the teacher itself in its leading {k} directions", lambda m: m.teacher("captured"), 0, CAPTURED
    )
    return _given(tests, own)


def _uniformity(config: Config, setting: Setting) -> list[Test]:
    """InfoNCE against the teacher and uniformity both fall from the smallest to the largest student."""
    if len(config.widths_of(setting)) < 2:
        return []
    published = {"infonce": "−0.0379 (3.2738 − 3.3117)", "uniformity": "−0.0224 (−0.4285 − −0.4061)"}
    names = {"infonce": "InfoNCE against the teacher", "uniformity": "uniformity"}

    def change(key: str) -> Statistic:
        return lambda m: m.student(key, m.large) - m.student(key, m.small)

    tests = [
        Test(f"{names[key]}, largest minus smallest", change(key), -math.inf, 0, figure)
        for key, figure in published.items()
    ]
    batch = config.evaluation.infonce_batch
    return tests + [
        Test(f"the same of {names[key]} as published, per batch of {batch}", change(f"published/{key}"), -math.inf, 0, figure, beside=True)
        for key, figure in published.items()
    ]  # fmt: skip


CLAIMS = (
    Claim(1, "Under cosine distillation every student collapses to the same effective rank, whatever its size.", _collapse, short="collapse at any size"),
    Claim(2, "The objective causes the collapse, not the architecture.", _objective_not_architecture, "other architectures", short="objective, not architecture"),
    Claim(3, "An InfoNCE term expands the student (published: 2.4 times).", _expansion, short="InfoNCE expands"),
    Claim(4, "A DINOv2 teacher partly prevents the collapse; InfoNCE is still needed.", _dino, "DINO teacher", short="DINO partly prevents it"),
    Claim(5, "The student lives in the teacher's leading directions.", _leading_directions, short="leading directions"),
    Claim(6, "Larger students use the space more uniformly.", _uniformity, "second width", short="larger is more uniform"),
    Claim(7, "The largest student is the most accurate on clean images and the most brittle under noise.", brittleness, "second width", short="largest is most brittle"),
    Claim(8, "Augmentation does not restore robustness.", augmentation, "augmentation control", short="augmentation does not restore"),
)  # fmt: skip
