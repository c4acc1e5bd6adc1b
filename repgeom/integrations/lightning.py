"""A monitor in the `Trainer` of Lightning."""

from __future__ import annotations

import contextlib
from typing import Any

from repgeom.monitors.monitor import Monitor

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ImportError as missing:
    raise ImportError("This needs lightning: `pip install 'repgeom[lightning]'`.") from missing

__all__ = ["MonitorCallback"]


class MonitorCallback(Callback):
    """A `repgeom.monitors.Monitor` of the module that a Lightning `Trainer` fits.

    `Trainer(callbacks=[MonitorCallback(layers=["encoder"])])`. Readings go to every logger at the steps at which they are made, whatever
    `log_every_n_steps` says, and into `trainer.callback_metrics`, which other callbacks read. Steps are those of the optimiser; of batches
    that are accumulated the first is read.

    Args:
        **options: of `Monitor`; a `log` is called besides.

    Attributes:
        monitor: the `Monitor`; None before the fit begins.
    """

    def __init__(self, **options: Any) -> None:
        self.monitor: Monitor | None = None
        self._options = options
        self._log = options.pop("log", None)
        self._values: dict[str, float] = {}
        self._open = contextlib.ExitStack()
        self._global_step = -1  # of the batch before
        self._next = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the monitor."""
        if self.monitor is None:
            self.monitor = Monitor(pl_module, log=self._logged, **self._options)
        self._global_step, self._next = -1, trainer.global_step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin a step, unless this batch is added to one."""
        assert self.monitor is not None
        if trainer.global_step == self._global_step:
            return
        self._global_step = trainer.global_step
        # Counted here, because Lightning counts a step for each of several optimisers.
        self._open.enter_context(self.monitor.step(self._next))
        self._next += 1

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the step, read it, and log the readings."""
        assert self.monitor is not None
        self._open.close()
        values, self._values = self._values, {}
        if not values:
            return
        for logger in trainer.loggers:
            logger.log_metrics(values, step=self._next - 1)
        pl_module.log_dict(values, logger=False, on_step=True, on_epoch=False, rank_zero_only=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take hooks off: Lightning does not end a batch that failed."""
        self.close()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take hooks off."""
        self.close()

    def close(self) -> None:
        """Take hooks off and discard the rows of a step that did not end."""
        with contextlib.suppress(_Discarded), self._open:
            raise _Discarded

    def _logged(self, step: int, values: dict[str, float]) -> None:
        self._values = dict(values)
        if self._log is not None:
            self._log(step, values)


class _Discarded(Exception):
    """Ends a step whose rows are not to be read."""
