"""Every layer of a model audited in one pass over the data, batch by batch, with nothing stored."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.data import RandomSampler

from repgeom.auditing.given import IN_STREAM
from repgeom.auditing.purposes import TRANSFER, check_purpose
from repgeom.auditing.report import Report
from repgeom.data.arrays import ZeroVarianceError
from repgeom.data.kinds import Features, Forward, Labels, LoaderBatch, Mask, Thresholds
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.saving import write_whole
from repgeom.data.settings import own_settings
from repgeom.models.beside import Beside
from repgeom.models.kept_rows import SAMPLES_KEPT
from repgeom.models.layers import Layer
from repgeom.models.npy_file import NpyFile
from repgeom.models.passing import Pass
from repgeom.models.paths import OUTPUT, modules_by_path
from repgeom.models.sums import ROWS_AT_ONCE, ROWS_KEPT, Sums

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from repgeom.models.layer_map import LayerMap
    from repgeom.reading.sample import Drawn

__all__ = ["LayerProfile", "audit", "layer_profile"]


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class LayerProfile(ShownInNotebook, Mapping[str, Report]):
    """What `layer_profile` returns: the report of each layer by its path, in the order in which layers run.

    `profile["encoder.layer.3"]` is a `Report`; `to_frame()` has a row per layer; `plot()` draws rank against depth.
    """

    reports: Mapping[str, Report]
    kinds: Mapping[str, str]  # of each layer: the class of its module
    name: str = "model"
    notes: tuple[str, ...] = ()
    unmeasured: Mapping[str, str] = dataclasses.field(default_factory=dict)  # layers without a report, and why
    samples: Mapping[str, Drawn] = dataclasses.field(default_factory=dict)  # of each layer's rows, for `compare`
    shuffled: bool = False  # whether the loader draws another order each time

    def __getitem__(self, layer: str) -> Report:
        if layer not in self.reports:
            raise KeyError(f"no layer {layer!r} in this profile; there are {', '.join(self.reports)}")
        return self.reports[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self.reports)

    def __len__(self) -> int:
        return len(self.reports)

    def __repr__(self) -> str:
        return f"<LayerProfile {self.name}: {len(self)} layers, worst {self.worst} ({self[self.worst].level})>"

    def __str__(self) -> str:
        import sys

        from repgeom.presenting.profile_text import profile_text
        from repgeom.presenting.screen import screen_of

        return profile_text(self, screen_of(sys.stdout, colour=False))

    @property
    def worst(self) -> str:
        """The layer with the worst verdict; of several the one that uses the smallest share of its width."""
        order = {"ok": 0, "warn": 1, "fail": 2}
        return max(self, key=lambda layer: (order[self[layer].level], -self._share(layer)))

    def _share(self, layer: str) -> float:
        report = self[layer]
        return float(report["effective_rank"].value or 0.0) / report.n_features

    def to_frame(self) -> pd.DataFrame:
        """One row per layer, indexed by its path.

        Columns: kind, pool, width, n_samples; effective_rank of the population with its 95 % interval (low, high; NaN where none is
        known), share (of the width), isotropic (what isotropic rows of the same size read, over the width), then every other measure
        of the layers' reports by its name (with labels kNN accuracy among them), verdict.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        measured = dict.fromkeys(
            v.name for report in self.values() for v in report.values if v.name != "effective_rank"
        )
        for layer, report in self.reports.items():
            rank = report["effective_rank"]
            values = {v.name: v.value for v in report.values}
            row = {
                "layer": layer,
                "kind": self.kinds.get(layer, ""),
                "pool": report.convention.get("pool", ""),
                "width": report.n_features,
                "n_samples": report.n_samples,
                "effective_rank": rank.value,
                "low": rank.low,
                "high": rank.high,
                "share": self._share(layer),
                "isotropic": None if rank.baseline is None else rank.baseline / report.n_features,
                **{name: values.get(name) for name in measured},
                "verdict": report.level,
            }
            rows.append(row)
        frame = pd.DataFrame(rows).set_index("layer")
        numbers = ["effective_rank", "low", "high", "share", "isotropic", *measured]
        return frame.astype(dict.fromkeys(numbers, float))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Effective rank over width against depth, with the interval as a band and what isotropic rows would read."""
        from repgeom.presenting.profile import plot_profile

        return plot_profile(self, ax)

    def compare(self, other: LayerProfile | None = None, **options: Any) -> LayerMap:
        """How alike layers are to those of another profile, or of this one, from kept rows; `options` as `repgeom.cka_map`."""
        from repgeom.models.layer_map import cka_map

        return cka_map(self, other, **options)

    def with_notes(self, *notes: str) -> LayerProfile:
        """The same profile with further notes for its reader."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values: the report of each layer under its path."""
        return {
            "name": self.name,
            "notes": list(self.notes),
            "unmeasured": dict(self.unmeasured),
            "layers": [
                {"layer": layer, "kind": self.kinds.get(layer, ""), "report": report.to_dict()}
                for layer, report in self.reports.items()
            ],
        }

    def to_json(self, path: str | os.PathLike[str] | None = None, *, indent: int | None = 2) -> str:
        """The dictionary as JSON text; written to `path` if given, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One page: rank against depth, a table of layers, and behind it each layer's audit; written to `path` if given."""
        from repgeom.presenting.profile_page import profile_page

        return profile_page(self, path)


@own_settings
def layer_profile(
    model: nn.Module,
    batches: Iterable[LoaderBatch],
    *,
    layers: str | Sequence[str] = "auto",
    pool: str = "auto",
    forward: Forward | None = None,
    mask: Mask = None,
    labels: Labels = None,
    reference: Features = None,
    normalize: str | None = None,
    purpose: str = TRANSFER,
    thresholds: Thresholds | None = None,
    autocast: torch.dtype | None = None,
    max_samples: int | None = None,
    rows_kept: int = ROWS_KEPT,
    samples_kept: int = SAMPLES_KEPT,
    seed: int = 0,
    name: str | None = None,
    features_to: str | os.PathLike[str] | None = None,
    say: Callable[[str], object] | None = None,
) -> LayerProfile:
    """Audits layers of a model in one pass over the data; features are added up and not stored.

    The model runs in evaluation mode without gradients; modes, hooks and switches are put back at the end, also after an error.
    Memory per layer: 8 d² bytes of sums for a width of d, and `rows_kept` rows, of which one pass holds up to twice as many.

    Args:
        model: any module. Compiled and parallel ones are looked into and run uncompiled, on one device.
        batches: what a loader gives: tensors, tuples that begin with one, or dicts of keywords (with "attention_mask" for text).
        layers: "auto" (embeddings, each block, the final norm, pooler or projection, the output), or module paths and patterns of
            them: `*` stops at a dot, `**` crosses. See `repgeom.models.layers`.
        pool: how positions become rows: "auto", "mean", "cls", "last", "patches" or "tokens". "auto" takes the class token of image
            models that have one, else the mean over what is not padding. With "tokens" each token is a row, and the tokens of a
            sample depend on each other: intervals count them for less.
        forward: how the model takes a batch, where that is not `model(batch)` or `model(**batch)`: a function of both.
        mask: (n, positions) of what is not padding, or a function from a batch to it, where batches have none.
        labels: one label per sample, in the order of the loader, or "in_stream": the second item of a tuple, "labels" of a dict.
        reference: features of the same samples in the same order (n_samples, width), array or path: each layer is compared with it.
        normalize, purpose, thresholds: as `repgeom.audit`.
        autocast: a half type in which the model runs; pooling and sums stay in float32 and float64.
        max_samples: stop after so many samples.
        rows_kept: of each layer, for what needs pairs of rows, and for intervals.
        samples_kept: rows of each layer that the profile itself keeps, so that layers can be compared (`LayerProfile.compare`).
        seed: of the rows that are kept.
        name: of the model, for titles; its class by default.
        features_to: a folder; the rows of each layer are also written there, as `LAYER.npy`.
        say: called with a sentence on the memory that will be needed, before the pass (`print`).

    Returns:
        A `LayerProfile`.

    Raises:
        TypeError: a scripted or exported model, batches of another kind.
        ValueError: no batches; a layer that is not there, never runs, or runs more than once a batch; text without a mask; values
            that are not finite, with the layer; labels or a reference of another length.

    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 8))
    >>> profile = layer_profile(model, torch.randn(4, 100, 16, generator=torch.manual_seed(0)))
    >>> list(profile), profile["2"].n_samples
    (['0', '1', '2', 'output'], 400)
    """
    check_purpose(purpose)
    if rows_kept < 2:
        raise ValueError(f"`rows_kept` must be at least 2, got {rows_kept}.")
    if not 0 <= samples_kept <= rows_kept:
        raise ValueError(f"`samples_kept` must be from 0 to `rows_kept`, which is {rows_kept}; got {samples_kept}.")
    in_stream = isinstance(labels, str) and labels == IN_STREAM
    beside = Beside(None if in_stream else labels, reference)
    one_pass = Pass(
        model,
        batches,
        layers,
        pool,
        forward=forward,
        mask=mask,
        labelled=in_stream,
        autocast=autocast,
        max_samples=max_samples,
    )
    if say is not None:
        say(_memory(one_pass, rows_kept, samples_kept))
    with _kept_features(features_to, one_pass.chosen) as files:
        sums = Sums(one_pass.chosen, beside, normalize, rows_kept, seed, files)
        beside.check_length(one_pass.run(sums.receive), bool(max_samples))
    reports: dict[str, Report] = {}
    unmeasured: dict[str, str] = {}
    for path in one_pass.chosen:
        try:
            reports[path] = sums.report(path, purpose, thresholds)
        except ZeroVarianceError:
            # One layer that gives the same for all samples must not cost the others.
            unmeasured[path] = "all its rows are equal: collapsed to a point, or constant by design"
    if not reports:
        raise ValueError(
            f"every layer gives the same rows for all samples, {one_pass.chosen[0]!r} first: is the input constant?"
        )
    kinds = {path: one_pass.found[path].kind for path in one_pass.chosen}
    samples = {path: sums.drawn(path, samples_kept) for path in reports if samples_kept}
    shuffled = isinstance(getattr(batches, "sampler", None), RandomSampler)
    notes = _notes(layers, one_pass)
    return LayerProfile(reports, kinds, name or type(one_pass.model).__name__, notes, unmeasured, samples, shuffled)


def _notes(layers: str | Sequence[str], one_pass: Pass) -> tuple[str, ...]:
    # Activations and dropout are used again in many models; what has parts of its own, such as ALBERT's one block, matters.
    modules = modules_by_path(one_pass.model)
    has_parts = {path for path in one_pass.found if any(True for _ in modules[path].children())}
    repeated = [
        path for path, one in one_pass.found.items() if one.fires > 1 and ("." not in path or path in has_parts)
    ]
    repeated = [path for path in repeated if not any(path.startswith(f"{other}.") for other in repeated)]
    if layers != "auto" or not repeated:
        return ()
    return (f"Ran more than once a batch and not taken: {', '.join(repeated[:5])}.",)


def _memory(one_pass: Pass, rows_kept: int, samples_kept: int) -> str:
    """The sentence on what a profile needs beside the model: sums of squares, and kept rows, twice while they are cut."""
    widths = [_width(one_pass.found[path]) for path in one_pass.chosen]
    n_bytes = sum(8 * width**2 + 4 * (2 * rows_kept + ROWS_AT_ONCE + samples_kept) * width for width in widths)
    return f"Profile of {len(widths)} layers: at most {n_bytes / 1e6:,.0f} MB beside the model."


def _width(layer: Layer) -> int:
    """Features of a layer; 0 where a nested tensor does not say."""
    if not layer.shape:
        return 0
    if len(layer.shape) == 2:
        return layer.shape[1]
    is_last = (len(layer.shape) == 3) != layer.unusual_features
    return layer.shape[-1 if is_last else 1]


@contextlib.contextmanager
def _kept_features(folder: str | os.PathLike[str] | None, paths: Sequence[str]) -> Iterator[dict[str, NpyFile]]:
    """A `.npy` for each layer in the folder, whole at the end; nothing is left of them after an error."""
    if folder is None:
        yield {}
        return
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    files = {path: NpyFile(str(target / f"{path}.npy")) for path in paths}
    try:
        yield files
        for file in files.values():
            file.result()
    finally:
        for file in files.values():
            file.discard()


@own_settings
def audit(model: nn.Module, batches: Iterable[LoaderBatch], *, layer: str = OUTPUT, **options: Any) -> Report:
    """The audit of one layer of a model, by default of what it returns.

    Args:
        model, batches: as `layer_profile`.
        layer: its module path.
        options: any of `layer_profile`, such as `pool`, `labels` and `purpose`.

    Returns:
        The report that `repgeom.audit` gives on the layer's features, which are not stored.

    Raises:
        TypeError, ValueError: as `layer_profile`; a pattern that fits several layers.

    >>> import torch
    >>> from torch import nn
    >>> report = audit(nn.Linear(16, 8), torch.randn(4, 100, 16, generator=torch.Generator().manual_seed(0)))
    >>> report.n_samples, report.n_features
    (400, 8)
    """
    profile = layer_profile(model, batches, layers=[layer], **options)
    if len(profile) > 1:
        raise ValueError(
            f"`layer` fits {len(profile)} layers: {', '.join(list(profile)[:8])}. Give one, or use `layer_profile`."
        )
    (report,) = profile.values()
    return report
