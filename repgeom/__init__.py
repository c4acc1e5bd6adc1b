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
from repgeom.classes import ClassRanks, between_class_variance, class_effective_rank
from repgeom.cloud import Health, Norms, alignment, feature_std, health, mean_cosine, norms, uniformity
from repgeom.comparison import Comparison, compare
from repgeom.dask_arrays import accumulate_dask
from repgeom.decompose import CenteredSVD, centered_svd, spectrum
from repgeom.estimates import Estimate, estimate, influence
from repgeom.files import open_source
from repgeom.lanczos import LanczosRank, lanczos_effective_rank
from repgeom.pairs import (
    captured_variance,
    cosine_alignment,
    linear_cka,
    mutual_knn,
    principal_angles,
    procrustes_distance,
)
from repgeom.plots import (
    plot_captured_variance,
    plot_class_ranks,
    plot_cumulative_variance,
    plot_fourier_heatmap,
    plot_robustness,
    plot_sample_size_curve,
    plot_spectrum,
)
from repgeom.probes.linear import LinearProbe, fit_linear_probe
from repgeom.probes.neighbours import KNNProbe, fit_knn_probe, knn_accuracy
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
from repgeom.robustness.compare import compare_robustness
from repgeom.robustness.fourier import FourierHeatmap, band_noise, fourier_heatmap
from repgeom.robustness.scores import (
    ALEXNET_IMAGENET_C,
    CorruptionError,
    mean_corruption_accuracy,
    mean_corruption_error,
    severity_auc,
)
from repgeom.robustness.tables import (
    corruption_robustness,
    feature_robustness,
    noise_robustness,
)
from repgeom.sample_sizes import sample_size_curve
from repgeom.spectra import Spectrum
from repgeom.synthetic import features_with_spectrum
from repgeom.verdict import Finding

__version__ = _version("repgeom")

__all__ = [
    "ALEXNET_IMAGENET_C",
    "CenteredSVD",
    "ClassRanks",
    "Comparison",
    "CorruptionError",
    "Estimate",
    "Finding",
    "FourierHeatmap",
    "Health",
    "KNNProbe",
    "LanczosRank",
    "LinearProbe",
    "Norms",
    "PowerLaw",
    "Report",
    "Spectrum",
    "SpectrumAccumulator",
    "Value",
    "accumulate_dask",
    "alignment",
    "audit",
    "band_noise",
    "between_class_variance",
    "captured_variance",
    "centered_svd",
    "class_effective_rank",
    "compare",
    "compare_robustness",
    "condition_number",
    "corruption_robustness",
    "corruptions",
    "cosine_alignment",
    "effective_rank",
    "estimate",
    "feature_robustness",
    "feature_std",
    "features_with_spectrum",
    "fit_knn_probe",
    "fit_linear_probe",
    "fourier_heatmap",
    "health",
    "hill_number",
    "influence",
    "isotropic_baseline",
    "knn_accuracy",
    "lanczos_effective_rank",
    "linear_cka",
    "mean_corruption_accuracy",
    "mean_corruption_error",
    "mean_cosine",
    "mutual_knn",
    "n_components",
    "noise_robustness",
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
    "procrustes_distance",
    "rankme",
    "sample_size_curve",
    "severity_auc",
    "spectral_entropy",
    "spectrum",
    "stable_rank",
    "uniformity",
]
