"""Names for what a user may give and what comes back, for annotations that say more than `Any`.

What is taken has no type in common: whatever has `__array__` or DLPack, data frames, lists, paths. So most of these are `Any` to
a type checker, and the words here are for people. They are shown as `rg.types.NAME`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

Features = Any
Labels = Any
Groups = Any
Images = Any
Indices = Any
Numbers = Any
LoaderBatch = Any
Spectra = Any
Values = Any
Curves = Any
CorruptedFeatures = Any
DType = Any
ProcessGroup = Any
ColumnNames = str | int | Sequence[str | int]
MeasureName = str | Callable[..., Any]
Thresholds = Mapping[str, Any]
Mask = Tensor | Callable[[Any], Any] | None
Encoder = Callable[[Tensor], Any]
Forward = Callable[[nn.Module, Any], Any]
Log = Callable[[int, dict[str, float]], object]
OnCollapse = Callable[[Any], object]

KINDS = {
    "Features": "Rows are samples, columns are features: a NumPy array, a tensor on any device, a data frame, an Arrow table, nested "
    "lists, or anything with `__array__` or DLPack. Where a function takes it, also a path, a stream of batches or a `Spectrum`.",
    "Labels": "(n,) one for each row: whole numbers or text, in any array kind or a list.",
    "Groups": "(n,) one for each row: whole numbers or text. Rows of a group depend on each other, as frames of a video do.",
    "Images": "(b, 3, h, w): uint8, or floats in [0, 1]; a tensor on any device or an array.",
    "Indices": "(b,) whole numbers: the number of each image in its data set, on which its random draws depend.",
    "Numbers": "A Python number; for a tensor a float64 tensor on its device, differentiable; for a stack of features one value each.",
    "LoaderBatch": "A batch of a loader: a tensor, a tuple, a list or a dict of them.",
    "Spectra": "One `Spectrum`, features or a report, or several by name in a dict; reports also in a list.",
    "Values": "Numbers in any array kind, or a list.",
    "Curves": "One result to draw or a report that holds it, or several by name in a dict; reports also in a list.",
    "CorruptedFeatures": "Features of the same samples, corrupted: one set, several by name or by (name, severity), or a list or generator "
    "of (name, severity, features).",
    "DType": "A NumPy dtype, or its name.",
    "ProcessGroup": "A group of `torch.distributed`; None for the default one.",
    "ColumnNames": "Numbers from 0, ranges such as '20-25', or names of columns.",
    "MeasureName": "The name of a measure, as reports show it, or its function: 'effective_rank' or `rg.effective_rank`.",
    "Thresholds": "{rule: (warn, fail)}; None for never.",
    "Mask": "(n, positions), true where a position is no padding, or a function from a batch to it.",
    "Encoder": "A function from images (b, 3, h, w) to features (b, d).",
    "Forward": "A function of a model and a batch that calls the model.",
    "Log": "A function of a step and of numbers by name.",
    "OnCollapse": "A function of an `EmbeddingCollapse`.",
}
