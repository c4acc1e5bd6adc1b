"""The geometry of a representation: is it collapsed, how many dimensions does it use, what did it keep?

>>> import repgeom as rg
>>> x = rg.testing.features_with_spectrum([3.0, 3.0, 3.0, 0.0], n_samples=100)
>>> round(rg.effective_rank(x), 6)
3.0
"""

from importlib.metadata import version as _version

from repgeom import corruptions, demo, probes, robustness, testing, types
from repgeom.auditing.audit import audit
from repgeom.auditing.report import Report
from repgeom.data.files import open_source
from repgeom.inference.compare import compare
from repgeom.inference.estimate import estimate, influence
from repgeom.inference.sample_sizes import sample_size_curve
from repgeom.measures.classes import between_class_variance, class_effective_rank
from repgeom.measures.cloud import alignment, feature_std, health, mean_cosine, norms, uniformity
from repgeom.measures.pairs import (
    captured_variance,
    cosine_alignment,
    linear_cka,
    mutual_knn,
    principal_angles,
    procrustes_distance,
)
from repgeom.measures.rank import (
    condition_number,
    effective_rank,
    hill_number,
    n_components,
    numerical_rank,
    participation_ratio,
    power_law,
    rankme,
    stable_rank,
)
from repgeom.presenting.plots import (
    plot_captured_variance,
    plot_class_ranks,
    plot_cumulative_variance,
    plot_fourier_heatmap,
    plot_robustness,
    plot_sample_size_curve,
    plot_spectrum,
)
from repgeom.probes.nearest import knn_accuracy
from repgeom.spectral.accumulator import SpectrumAccumulator
from repgeom.spectral.decompose import centered_svd, spectrum
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum

__version__ = _version("repgeom")

__all__ = [
    "Report",
    "Spectrum",
    "SpectrumAccumulator",
    "alignment",
    "audit",
    "between_class_variance",
    "captured_variance",
    "centered_svd",
    "class_effective_rank",
    "compare",
    "condition_number",
    "corruptions",
    "cosine_alignment",
    "demo",
    "effective_rank",
    "estimate",
    "feature_std",
    "health",
    "hill_number",
    "influence",
    "isotropic_baseline",
    "knn_accuracy",
    "linear_cka",
    "mean_cosine",
    "mutual_knn",
    "n_components",
    "norms",
    "numerical_rank",
    "open_source",
    "participation_ratio",
    "plot_captured_variance",
    "plot_class_ranks",
    "plot_cumulative_variance",
    "plot_fourier_heatmap",
    "plot_robustness",
    "plot_sample_size_curve",
    "plot_spectrum",
    "power_law",
    "principal_angles",
    "probes",
    "procrustes_distance",
    "rankme",
    "robustness",
    "sample_size_curve",
    "spectrum",
    "stable_rank",
    "testing",
    "types",
    "uniformity",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
