"""A monitor: readings of a model's layers at every so many steps of its training."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import numbers
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from repgeom.data.kinds import Forward, LoaderBatch, Log, Mask, MeasureName, OnCollapse
from repgeom.data.processes import ALONE, Processes
from repgeom.data.settings import warn_caller
from repgeom.inference.sample import FEWEST_ROWS
from repgeom.models.paths import OUTPUT, bare, matching, modules_by_path
from repgeom.models.pooling import POOLS
from repgeom.models.running import check_watchable
from repgeom.monitors.collapse import Watch
from repgeom.monitors.collecting import Collector, Rows
from repgeom.monitors.probing import Probe
from repgeom.monitors.reading import MEAN_COSINE, RANK, LayerReading, Reading, check_measures, layer_reading
from repgeom.monitors.together import processes_of_training, rows_of_all

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Monitor"]

_NOT_MEASURED = contextlib.nullcontext()


class Monitor:
    """Reads effective rank and other measures of a model's layers while it trains, and says when they collapse.

    At every `every`-th step the rows that layers give in this step alone are read: no queue of older rows, which were made by other
    weights and read up to 82 % too much where it matters, in the first steps (studies/monitors.md). Values are those of the
    population: what so few rows miss is added. Several forward passes in a step (views, accumulated batches, several processes)
    are read together. Training is not changed: no random number is drawn, no gradient touched.

    Hooks are on the model only inside a measured step, and come off after an error too. Any other step costs a comparison of
    whole numbers. A compiled model runs uncompiled in a measured step.

    Args:
        model: any module, also compiled or in DistributedDataParallel. It may be called as a whole or in parts; padding is known only
            where it is called as a whole or `mask` says it.
        layers: module paths and patterns of them: `*` stops at a dot, `**` crosses; "output" is what the model returns. With a
            `probe` also "auto". See `repgeom.models.layers`.
        every: steps from one reading to the next. Steps 0, `every`, 2 `every`, … are measured.
        measures: "mean_cosine" and whatever `repgeom.estimate` takes. The three of the default cost little; others cost what
            `estimate` does.
        pool: how positions become rows, as `repgeom.models.layer_profile`.
        rows: that are read of each layer, at most: the first ones of a step, from all processes together.
        probe: a batch, or a list of batches, that goes through the model in evaluation mode at the beginning of a measured step;
            modes, buffers, random numbers and gradients are then as before. Its rows are read instead of those of the step. That is another
            quantity (no dropout, no augmentation), and readings are comparable from step to step.
        forward: how the model takes a batch of the probe, where that is not `model(batch)`: a function of both.
        mask: (n, positions) of what is not padding, or a function from a batch to it, where batches have none. A batch is here
            what the model is called with: one tensor, or a dict by the names of its arguments.
        interval: also give 95 % intervals, where `repgeom.estimate` knows one (from about 2 rows a feature). A reading then takes
            some ten times as long.
        on_collapse: None, "warn" or "raise" (with an `EmbeddingCollapse`, and the spectrum in a .npz), or a function of an
            `EmbeddingCollapse`. It is called once, and again only after the layer has recovered.
        below: what counts as collapsed: an effective rank of at least 1, or a share of the width under 1. By default an effective rank of
            2: all rows then lie close to one line. A layer that tells two classes apart may rightly do so; give it
            a `below` of its own. The whole interval must lie below, or 1.25 times the value where no interval is known. Rows that are all equal
            always count.
        patience: readings in a row that must lie below.
        folder: for the .npz.
        log: a function of a step and a dict {"geometry/LAYER/MEASURE": value}, with ".../low" and ".../high" where known;
            `print` is one, and `csv_log` makes one.
        together: where a `torch.distributed` process group has been set up, rows of all processes are read together, and all
            have the same history. Each must then make a monitor and take the same steps. The first process logs, warns and writes. With a probe all
            take the reading of the first. False reads the rows of this process alone.

    Raises:
        TypeError: a scripted or exported model; a `probe` of another kind.
        ValueError: a layer that is not there; an unknown measure; numbers out of range. In a measured step: a layer that did not run or
            gave no rows of features, text without a mask, fewer than 4 rows.
        EmbeddingCollapse: at the end of a step, with `on_collapse="raise"`.

    >>> import torch
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))
    >>> monitor = Monitor(model, layers=["0"], every=10)
    >>> for batch in torch.randn(30, 64, 16, generator=torch.manual_seed(0)):
    ...     with monitor.step():
    ...         loss = model(batch).square().mean()
    >>> monitor.history["step"].unique().tolist()
    [0, 10, 20]
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        layers: str | Sequence[str] = OUTPUT,
        every: int = 100,
        measures: Sequence[MeasureName] = (RANK, "participation_ratio", MEAN_COSINE),
        pool: str = "auto",
        rows: int = 4096,
        probe: Iterable[LoaderBatch] | None = None,
        forward: Forward | None = None,
        mask: Mask = None,
        interval: bool = False,
        on_collapse: str | OnCollapse | None = None,
        below: float | None = None,
        patience: int = 2,
        folder: str | os.PathLike[str] = ".",
        log: Log | None = None,
        together: bool = True,
    ) -> None:
        self._model = bare(check_watchable(model))
        self._every, self._most = _whole("every", every), _whole("rows", rows)
        self._measures = check_measures(measures)
        if pool not in POOLS:
            raise ValueError(f"`pool` must be one of {', '.join(POOLS)}, got {pool!r}.")
        if log is not None and not callable(log):
            raise TypeError(
                f"`log` is a {type(log).__name__}; it takes a function of a step and a dict, such as `print`."
            )
        self._interval, self._log, self._together = interval, log, together
        self._watch = Watch(on_collapse, below, patience, folder)
        self._wanted = [layers] if isinstance(layers, str) else list(layers)
        self._probe = None if probe is None else Probe(probe, forward, mask)
        self._paths = self._chosen()
        self._collector = Collector(self._model, self._paths, pool, mask)
        self._measuring = False
        self._seen: set[str] = set()  # layers that were read before
        self._not_finite: set[str] = set()  # layers of which that was said
        self._readings: list[Reading] = []
        self._next = 0

    def step(self, number: int | None = None) -> AbstractContextManager[Any]:
        """Put one step of the training inside: `with monitor.step(): ...`.

        Args:
            number: of the step, where the monitor should not count by itself, as after a training was taken up again.

        Returns:
            A context manager, which does nothing in steps that are not measured.
        """
        if number is None:
            number = self._next
        self._next = number + 1
        if number % self._every:
            return _NOT_MEASURED
        return self._measured(number)

    @property
    def history(self) -> pd.DataFrame:
        """All readings as a data frame: step, layer, measure, value, low, high (NaN where no interval is known), n (rows)."""
        import pandas as pd

        columns = [field.name for field in dataclasses.fields(Reading)]
        return pd.DataFrame([dataclasses.astuple(one) for one in self._readings], columns=columns)

    def __str__(self) -> str:
        if not self._readings:
            return "no reading yet"
        last = self._readings[-1].step
        return "\n".join([f"step {last}", *(f"  {_in_words(one)}" for one in self._readings if one.step == last)])

    def plot(self, measure: str | None = None, ax: Axes | None = None) -> Axes:
        """Draw one measure of each layer against the step, with intervals where known.

        Args:
            measure: the first one by default.
            ax: where to draw; a new figure by default.
        """
        from repgeom.presenting.monitor import plot_monitor

        return plot_monitor(self.history, measure or self._measures[0], ax)

    def _chosen(self) -> list[str]:
        if self._probe is not None:
            auto = self._wanted == ["auto"]
            return self._probe.chosen(self._model, "auto" if auto else self._wanted)
        modules = modules_by_path(self._model)
        if "auto" in self._wanted and "auto" not in modules:
            raise ValueError(
                '`layers="auto"` needs a `probe`: without one nothing has run yet. `repgeom.models.layers(model, batch)` lists the layers.'
            )
        if not self._wanted:
            raise ValueError("`layers` is empty.")
        return matching(self._wanted, modules)

    @contextlib.contextmanager
    def _measured(self, step: int) -> Iterator[None]:
        if self._measuring:
            raise RuntimeError("a step of this monitor is inside another one; end that first.")
        processes = processes_of_training() if self._together else ALONE
        self._measuring = True
        try:
            if self._probe is not None:
                with self._collector.hooked(self._most, views=False):
                    self._probe.run(self._model, self._most)
                self._read(step, processes)
                yield
            else:
                # Of the rows of all processes together only so many are read.
                with self._collector.hooked(-(-self._most // processes.size), views=True), _uncompiled():
                    yield
                self._read(step, processes)
        finally:
            self._measuring = False

    def _read(self, step: int, processes: Processes) -> None:
        rows = processes.agreed(self._collector.collected)
        if self._probe is None:
            rows = rows_of_all(rows, processes)
        # The first process reads for all, so that all agree to the last bit.
        layers = processes.by_first(lambda: self._layers_read(step, rows))
        self._seen.update(one.readings[0].layer for one in layers)
        found = [one for layer in layers for one in layer.readings if one.measure in self._measures]
        self._readings += found
        is_first = processes.rank == 0
        if self._log is not None and is_first and found:
            self._log(step, _as_numbers(found))
        if self._watch.action is not None:
            self._watch.see(layers, writes=is_first)

    def _layers_read(self, step: int, rows: dict[str, Rows]) -> list[LayerReading]:
        measures = self._measures
        if self._watch.action is not None and RANK not in measures:
            measures = (*measures, RANK)
        found = []
        for path in self._paths:
            n = len(rows[path].rows) if path in rows else 0
            if n < FEWEST_ROWS:
                self._too_few(step, path, n, any(path in rows for path in self._paths))
                continue
            layer = layer_reading(step, path, rows[path], measures, self._interval)
            if math.isnan(layer.readings[0].value) and path not in self._not_finite:
                self._not_finite.add(path)
                warn_caller(f"layer {path!r} gave values that are not finite at step {step}: its readings are NaN.")
            found.append(layer)
        return found

    def _too_few(self, step: int, path: str, n: int, others_ran: bool) -> None:
        """Raise where a layer that was asked for never gave rows; warn where it once did, as a last batch may be small."""
        if path in self._seen:
            warn_caller(f"layer {path!r} gave {n} rows in step {step}: no reading, which needs {FEWEST_ROWS}.")
        elif n:
            raise ValueError(
                f"layer {path!r} gave {n} rows in step {step}, and a reading needs at least {FEWEST_ROWS}. Put several forward passes into "
                "one `monitor.step()`, or give a `probe`."
            )
        elif path in self._wanted or not others_ran:
            raise ValueError(
                f"layer {path!r} gave no rows in step {step}: it is a container, is not used, or another copy of the model is trained. "
                "`repgeom.models.layers(model, batch)` lists the layers that give features."
            )


@contextlib.contextmanager
def _uncompiled() -> Iterator[None]:
    """Run compiled code as it was written: hooks inside of it would be compiled as well. Nothing is done where nothing was compiled."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}.")
    return int(value)


def _as_numbers(readings: Sequence[Reading]) -> dict[str, float]:
    """What a `log` takes."""
    found: dict[str, float] = {}
    for one in readings:
        name = f"geometry/{one.layer}/{one.measure}"
        found[name] = one.value
        if one.has_interval:
            found |= {f"{name}/low": one.low, f"{name}/high": one.high}
    return found


def _in_words(one: Reading) -> str:
    if one.has_interval:
        return f"{one.layer} {one.measure} {one.value:.4g} [{one.low:.4g}, {one.high:.4g}] ({one.n:,} rows)"
    return f"{one.layer} {one.measure} ≈ {one.value:.4g} ({one.n:,} rows)"
