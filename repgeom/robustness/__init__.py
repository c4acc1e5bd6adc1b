"""What does corruption do to a representation? Tables of drift, their summaries, and sensitivity by frequency."""

from repgeom.robustness.compare import compare_robustness
from repgeom.robustness.filtered_noise import band_noise
from repgeom.robustness.fourier import FourierHeatmap, fourier_heatmap
from repgeom.robustness.published_comparison import compare_published
from repgeom.robustness.published_set import PublishedImages, published
from repgeom.robustness.ready_features import feature_robustness
from repgeom.robustness.summary import (
    ALEXNET_IMAGENET_C,
    CorruptionError,
    mean_corruption_accuracy,
    mean_corruption_error,
    severity_auc,
)
from repgeom.robustness.tables import corruption_robustness, noise_robustness

__all__ = [
    "ALEXNET_IMAGENET_C",
    "CorruptionError",
    "FourierHeatmap",
    "PublishedImages",
    "band_noise",
    "compare_published",
    "compare_robustness",
    "corruption_robustness",
    "feature_robustness",
    "fourier_heatmap",
    "mean_corruption_accuracy",
    "mean_corruption_error",
    "noise_robustness",
    "published",
    "severity_auc",
]
