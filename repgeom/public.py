"""Everything that `import repgeom` shows, loaded when the first of its names is asked for."""

from importlib.metadata import version as _version

from repgeom import (
    corruptions,
    demo,
    files,
    models,
    monitors,
    pages,
    probes,
    repair,
    robustness,
    terminal,
    testing,
    types,
)
from repgeom.auditing.accumulator import AuditAccumulator
from repgeom.auditing.audit import audit
from repgeom.auditing.comparing import compare_reports
from repgeom.auditing.report import Report
from repgeom.data.files import open_source
from repgeom.inference.compare import compare
from repgeom.inference.estimate import estimate, influence
from repgeom.inference.intrinsic_dimension import intrinsic_dimension, intrinsic_dimension_curve
from repgeom.inference.modality_gap import modality_gap
from repgeom.inference.predictable_rank import predictable_rank
from repgeom.inference.sample_sizes import sample_size_curve
from repgeom.inference.token_geometry import token_geometry, token_geometry_by_layer
from repgeom.inference.truncation import truncation_curve
from repgeom.measures import canonical as _canonical
from repgeom.measures import classes as _classes
from repgeom.measures import cloud as _cloud
from repgeom.measures import concentration as _concentration
from repgeom.measures import directions as _directions
from repgeom.measures import dissimilarities as _dissimilarities
from repgeom.measures import hubness as _hubness
from repgeom.measures import kernel_similarity as _kernel_similarity
from repgeom.measures import near_duplicates as _near_duplicates
from repgeom.measures import neural_collapse as _neural_collapse
from repgeom.measures import pairs as _pairs
from repgeom.measures import rank as _rank
from repgeom.measures import steepness as _steepness
from repgeom.measures import views as _views
from repgeom.measures.canonical import *
from repgeom.measures.classes import *
from repgeom.measures.cloud import *
from repgeom.measures.concentration import *
from repgeom.measures.directions import *
from repgeom.measures.dissimilarities import *
from repgeom.measures.hubness import *
from repgeom.measures.kernel_similarity import *
from repgeom.measures.near_duplicates import *
from repgeom.measures.neural_collapse import *
from repgeom.measures.pairs import *
from repgeom.measures.rank import *
from repgeom.measures.steepness import *
from repgeom.measures.views import *
from repgeom.models.layer_map import cka_map
from repgeom.presenting.class_plots import plot_class_ranks
from repgeom.presenting.figure import plot_reports
from repgeom.presenting.robustness_plots import plot_fourier_heatmap, plot_robustness
from repgeom.presenting.sample_size_plots import plot_sample_size_curve
from repgeom.presenting.spectrum_plots import plot_captured_variance, plot_cumulative_variance, plot_spectrum
from repgeom.probes import nearest as _nearest
from repgeom.probes.nearest import *
from repgeom.spectral.accumulator import SpectrumAccumulator
from repgeom.spectral.decompose import centered_svd, spectrum
from repgeom.spectral.isotropic import isotropic_baseline
from repgeom.spectral.spectrum import Spectrum

__version__ = _version("repgeom")

__all__ = [
    "AuditAccumulator",
    "Report",
    "Spectrum",
    "SpectrumAccumulator",
    "audit",
    "centered_svd",
    "cka_map",
    "compare",
    "compare_reports",
    "corruptions",
    "demo",
    "estimate",
    "files",
    "influence",
    "intrinsic_dimension",
    "intrinsic_dimension_curve",
    "isotropic_baseline",
    "modality_gap",
    "models",
    "monitors",
    "open_source",
    "pages",
    "plot_captured_variance",
    "plot_class_ranks",
    "plot_cumulative_variance",
    "plot_fourier_heatmap",
    "plot_reports",
    "plot_robustness",
    "plot_sample_size_curve",
    "plot_spectrum",
    "predictable_rank",
    "probes",
    "repair",
    "robustness",
    "sample_size_curve",
    "spectrum",
    "terminal",
    "testing",
    "token_geometry",
    "token_geometry_by_layer",
    "truncation_curve",
    "types",
]
# A measure is shown here once the module that it stands in names it.
__all__ += _canonical.__all__
__all__ += _classes.__all__
__all__ += _cloud.__all__
__all__ += _directions.__all__
__all__ += _dissimilarities.__all__
__all__ += _concentration.__all__
__all__ += _hubness.__all__
__all__ += _kernel_similarity.__all__
__all__ += _near_duplicates.__all__
__all__ += _neural_collapse.__all__
__all__ += _nearest.__all__
__all__ += _pairs.__all__
__all__ += _rank.__all__
__all__ += _steepness.__all__
__all__ += _views.__all__
