"""A monitor in the `Trainer` of transformers."""

from __future__ import annotations

import contextlib
from typing import Any

from torch import Tensor, nn

from repgeom.monitors.monitor import Monitor

try:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as missing:
    raise ImportError("This needs transformers and accelerate: `pip install 'repgeom[huggingface]'`.") from missing

__all__ = ["MonitorCallback"]


class MonitorCallback(TrainerCallback):
    """A `repgeom.monitors.Monitor` of the model that a `Trainer` trains.

    `trainer.add_callback(MonitorCallback(trainer, layers=["bert.encoder.layer.*"]))`. Readings go through `trainer.log`, so they are in
    `trainer.state.log_history` and reach every logger, whatever the order of callbacks. A step is one of the optimiser: batches that are
    accumulated are read together.

    Args:
        trainer: whose training is watched.
        **options: of `Monitor`; a `log` is called besides.

    Attributes:
        monitor: the `Monitor`; None before the training begins.
    """

    def __init__(self, trainer: Trainer, **options: Any) -> None:
        self.monitor: Monitor | None = None
        self._trainer = trainer
        self._log = options.pop("log", None)
        self._options = options
        self._open = contextlib.ExitStack()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Make the monitor, and see to it that hooks come off when a step fails: a `Trainer` does not tell callbacks."""
        self.close()
        if self.monitor is None:
            self.monitor = Monitor(model, log=self._logged, **self._options)
        self._trainer.__dict__["training_step"] = self._closing(self._trainer.training_step)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the step."""
        assert self.monitor is not None
        self._open.enter_context(self.monitor.step(state.global_step))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the step and read it."""
        # Logging a reading must not take the place of the log that is due at this step.
        due = control.should_log
        try:
            self._open.close()
        finally:
            control.should_log = due

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take everything off."""
        self.close()

    def close(self) -> None:
        """Take hooks off and discard the rows of a step that did not end."""
        self._trainer.__dict__.pop("training_step", None)
        with contextlib.suppress(_Discarded), self._open:
            raise _Discarded

    def _closing(self, training_step: Any) -> Any:
        def step(model: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
            try:
                return training_step(model, *args, **kwargs)
            except BaseException:
                self.close()
                raise

        return step

    def _logged(self, step: int, values: dict[str, float]) -> None:
        self._trainer.log(dict(values))
        if self._log is not None:
            self._log(step, values)


class _Discarded(Exception):
    """Ends a step whose rows are not to be read."""
