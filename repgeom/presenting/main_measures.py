"""Which measures stand first: those that one quotes, and those that a screen has room for."""

from __future__ import annotations

# The few numbers that one quotes, of those that a report has.
QUOTED = (
    "effective_rank",
    "participation_ratio",
    "mean_cosine",
    "knn_accuracy",
    "rank_retained",
    "linear_cka",
    "mutual_knn",
    "cosine_alignment",
)
# What a command prints unless all are asked for: with labels and a reference it fits a screen.
MAIN = (
    *QUOTED,
    "effective_rank_sigma",
    "stable_rank",
    "n_components_90",
    "uniformity",
    "norm_cv",
    "class_rank_median",
    "between_class_variance",
    "captured_variance",
)


def left_out(n_shown: int, n: int) -> str:
    """The line under a table that shows some of its measures."""
    return f"{n_shown} of {n} measures. --measures all shows all, and why some have no interval."
