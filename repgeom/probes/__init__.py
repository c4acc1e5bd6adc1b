"""Can a simple classifier read the labels off features? Linear and nearest-neighbour probes."""

from repgeom.probes.linear import LinearProbe, fit_linear_probe
from repgeom.probes.nearest import KNNProbe, fit_knn_probe, knn_accuracy

__all__ = ["KNNProbe", "LinearProbe", "fit_knn_probe", "fit_linear_probe", "knn_accuracy"]
