"""The geometry of a representation: is it collapsed, how many dimensions does it use, what did it keep?

>>> import repgeom as rg
>>> x = rg.features_with_spectrum([3.0, 3.0, 3.0, 0.0], n_samples=100)
>>> round(rg.effective_rank(x), 6)
3.0
"""

from importlib.metadata import version as _version

from repgeom import corruptions
from repgeom.accumulate import SpectrumAccumulator
from repgeom.auditing import audit
from repgeom.baseline import isotropic_baseline
from repgeom.classes import ClassRanks, between_class_variance, class_effective_rank, knn_accuracy
from repgeom.cloud import Health, Norms, alignment, feature_std, health, mean_cosine, norms, uniformity
from repgeom.decompose import CenteredSVD, centered_svd, spectrum
from repgeom.files import open_source
from repgeom.pairs import (
    captured_variance,
    cosine_alignment,
    linear_cka,
    mutual_knn,
    principal_angles,
    procrustes_distance,
)
from repgeom.plots import plot_captured_variance, plot_class_ranks, plot_cumulative_variance, plot_spectrum
from repgeom.rank import (
    PowerLaw,
    condition_number,
    effective_rank,
    hill_number,
    n_components,
    numerical_rank,
    participation_ratio,
    power_law,
    rankme,
    spectral_entropy,
    stable_rank,
)
from repgeom.report import Report, Value
from repgeom.spectra import Spectrum
from repgeom.synthetic import features_with_spectrum
from repgeom.verdict import Finding

__version__ = _version("repgeom")

__all__ = [
    "CenteredSVD",
    "ClassRanks",
    "Finding",
    "Health",
    "Norms",
    "PowerLaw",
    "Report",
    "Spectrum",
    "SpectrumAccumulator",
    "Value",
    "alignment",
    "audit",
    "between_class_variance",
    "captured_variance",
    "centered_svd",
    "class_effective_rank",
    "condition_number",
    "corruptions",
    "cosine_alignment",
    "effective_rank",
    "feature_std",
    "features_with_spectrum",
    "health",
    "hill_number",
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
    "plot_spectrum",
    "power_law",
    "principal_angles",
    "procrustes_distance",
    "rankme",
    "spectral_entropy",
    "spectrum",
    "stable_rank",
    "uniformity",
]
