"""The record classes that functions return, and names for what functions take, for annotations and `isinstance`."""

from repgeom.auditing.changes import Change
from repgeom.auditing.comparing import ReportComparison
from repgeom.auditing.finding import Finding
from repgeom.auditing.report import Report
from repgeom.auditing.values import Value
from repgeom.data.kinds import (
    ColumnNames,
    CorruptedFeatures,
    Curves,
    DType,
    Encoder,
    Features,
    Forward,
    Groups,
    Images,
    Indices,
    Labels,
    LoaderBatch,
    Log,
    Mask,
    MeasureName,
    Numbers,
    OnCollapse,
    ProcessGroup,
    Spectra,
    Thresholds,
    Values,
)
from repgeom.inference.compare import Comparison
from repgeom.inference.estimate import Estimate
from repgeom.inference.intrinsic_dimension import IntrinsicDimension
from repgeom.inference.modality_gap import ModalityGap
from repgeom.inference.predictable_rank import PredictableRank
from repgeom.inference.retrieval import Retrieval
from repgeom.inference.token_geometry import TokenGeometry
from repgeom.measures.classes import ClassRanks
from repgeom.measures.cloud_tally import Health, Norms
from repgeom.measures.concentration import Concentration
from repgeom.measures.hubness import Hubness
from repgeom.measures.near_duplicates import NearDuplicates
from repgeom.measures.neural_collapse import NeuralCollapse
from repgeom.measures.steepness import PowerLaw
from repgeom.models.layer_map import LayerMap
from repgeom.probes.linear import LinearProbe, PathPoint
from repgeom.probes.nearest import KNNProbe
from repgeom.robustness.fourier import FourierHeatmap
from repgeom.robustness.published_set import PublishedImages
from repgeom.robustness.summary import CorruptionError
from repgeom.spectral.decompose import CenteredSVD
from repgeom.spectral.spectrum import Spectrum

__all__ = [
    "CenteredSVD",
    "Change",
    "ClassRanks",
    "ColumnNames",
    "Comparison",
    "Concentration",
    "CorruptedFeatures",
    "CorruptionError",
    "Curves",
    "DType",
    "Encoder",
    "Estimate",
    "Features",
    "Finding",
    "Forward",
    "FourierHeatmap",
    "Groups",
    "Health",
    "Hubness",
    "Images",
    "Indices",
    "IntrinsicDimension",
    "KNNProbe",
    "Labels",
    "LayerMap",
    "LinearProbe",
    "LoaderBatch",
    "Log",
    "Mask",
    "MeasureName",
    "ModalityGap",
    "NearDuplicates",
    "NeuralCollapse",
    "Norms",
    "Numbers",
    "OnCollapse",
    "PathPoint",
    "PowerLaw",
    "PredictableRank",
    "ProcessGroup",
    "PublishedImages",
    "Report",
    "ReportComparison",
    "Retrieval",
    "Spectra",
    "Spectrum",
    "Thresholds",
    "TokenGeometry",
    "Value",
    "Values",
]
