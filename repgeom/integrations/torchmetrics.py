"""A spectral measure as a `torchmetrics.Metric`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from repgeom.data.arrays import check_normalize
from repgeom.data.settings import own_settings
from repgeom.measures.measure import estimable
from repgeom.spectral.sums import Sums

try:
    from torchmetrics import Metric
except ImportError as missing:
    raise ImportError("This needs torchmetrics: `pip install 'repgeom[torchmetrics]'`.") from missing

__all__ = ["SpectralMetric"]


class SpectralMetric(Metric):
    """A spectral measure of all rows that `update` has seen, over all processes.

    Rows are added up about their own mean in float64 (Chan, Golub and LeVeque 1983), so a mean of a million standard deviations costs no
    digits, any split gives the whole's answer, and half precision of the model does not reach the sums. Several of these in a
    `MetricCollection` share one state. It is the measure of these rows; `repgeom.estimate` corrects for few of them.

    Memory: 8 d² bytes for a width of d; as much is gathered from each process.

    Args:
        measure: "effective_rank", "effective_rank_sigma", "participation_ratio", "stable_rank" or "n_components_90" (any two digits),
            or the function.
        center: subtract the mean row first.
        normalize: "l2" scales rows to unit length first.
        **kwargs: of `torchmetrics.Metric`, such as `dist_sync_on_step`.

    `compute()` returns a float64 scalar in dimensions: 1 where all rows are equal, NaN of fewer than two rows.

    Raises:
        ValueError: an unknown measure; in `update`, values that are not finite, or another width than before.

    >>> metric = SpectralMetric()
    >>> for batch in torch.eye(4).repeat(5, 1).split(7):
    ...     metric.update(batch)
    >>> round(metric.compute().item(), 6)
    3.0
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True  # else `forward` would keep one matrix for each batch

    sums: Any

    def __init__(
        self, measure: Any = "effective_rank", *, center: bool = True, normalize: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_normalize(normalize)
        self.measure = estimable(measure).name
        self.center, self.normalize = center, normalize
        # A list of one packed tensor: processes without rows have none, and then nothing must be stacked.
        self.add_state("sums", default=[], dist_reduce_fx="cat")

    @own_settings
    def update(self, features: Tensor) -> None:
        """Add rows (n, n_features), n ≥ 1."""
        if not isinstance(features, Tensor) or features.ndim != 2:
            shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ValueError(f"`features` must be a tensor (n_samples, n_features), got {shape}.")
        if not bool(torch.isfinite(features).all()):
            raise ValueError("`features` has values that are not finite.")
        if not len(features):
            return
        here = Sums("float64", self.normalize)
        here.absorb(features.detach())
        self.sums = [_packed(_joined([*self._parts(), here]))]

    @own_settings
    def compute(self) -> Tensor:
        """The measure of all rows."""
        parts = self._parts()
        if sum(part.n_samples for part in parts) < 2:
            return torch.tensor(torch.nan, dtype=torch.float64, device=self.device)
        spectrum = _joined(parts).read_spectrum(self.center).spectrum
        if not bool((spectrum.singular_values > 0).any()):
            return torch.ones((), dtype=torch.float64, device=self.device)
        return torch.as_tensor(estimable(self.measure).value(spectrum), dtype=torch.float64, device=self.device)

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the rows of another metric, or of its `metric_state`."""
        if isinstance(incoming_state, Metric):
            if not isinstance(incoming_state, SpectralMetric):
                raise ValueError(f"a {type(incoming_state).__name__} cannot be merged into a SpectralMetric.")
            if incoming_state.normalize != self.normalize:
                raise ValueError(
                    f"the other metric has normalize={incoming_state.normalize!r} and this one {self.normalize!r}."
                )
            incoming_state = incoming_state.metric_state
        parts = [*self._parts(), *_unpacked(incoming_state["sums"], self.normalize)]
        if parts:
            self.sums = [_packed(_joined(parts))]
            self._update_count += 1  # else torchmetrics says that there is nothing to compute
        self._computed = None

    def set_dtype(self, dst_type: str | torch.dtype) -> SpectralMetric:
        """Leaves the sums in float64: another type would lose what they are for."""
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Of the sums, which a process without rows must send too."""
        return torch.float64

    def _parts(self) -> list[Sums]:
        return _unpacked(self.sums, self.normalize)


def _packed(sums: Sums) -> Tensor:
    """One vector: its length, n, mean, scatter."""
    assert sums.mean is not None
    scatter = sums.scatter()
    head = scatter.new_tensor([2 + sums.mean.numel() + scatter.numel(), sums.n_samples])
    return torch.cat([head, sums.mean, scatter.flatten()])


def _unpacked(state: Tensor | Sequence[Tensor], normalize: str | None) -> list[Sums]:
    """What vectors hold that stand one after another, as they do once processes have sent them."""
    if not isinstance(state, Tensor):
        return [one for vector in state for one in _unpacked(vector, normalize)]
    found = []
    while len(state):
        length, n = int(state[0]), int(state[1])
        d = int((length - 2 + 0.25) ** 0.5)  # d + d² = length − 2
        one = Sums("float64", normalize)
        one.join(n, state[2 : 2 + d].clone(), state[2 + d : length].reshape(d, d).clone(), torch.float64)
        found.append(one)
        state = state[length:]
    return found


def _joined(parts: Sequence[Sums]) -> Sums:
    widths = sorted({len(part.mean) for part in parts if part.mean is not None})
    if len(widths) > 1:
        raise ValueError(f"`features` come in different widths: {', '.join(map(str, widths))}.")
    whole = parts[0]
    for part in parts[1:]:
        whole.merge(part)
    return whole
