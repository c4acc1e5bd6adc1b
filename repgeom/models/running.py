"""A model that is watched: forward hooks on some of its modules, in evaluation mode, and everything put back at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from repgeom.data.kinds import Forward
from repgeom.data.settings import callers_settings
from repgeom.models.batches import Batch, call
from repgeom.models.paths import OUTPUT
from repgeom.robustness.encoding import evaluating

Receive = Callable[[str, Any], None]  # a layer's path and what it gave


def check_watchable(model: Any) -> nn.Module:
    """The same model. Raises TypeError for what has no modules whose outputs could be watched."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` is a {type(model).__name__}; this takes a `torch.nn.Module`.")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("`model` is scripted: TorchScript takes no hooks. Give the module that it was scripted from.")
    if type(model).__module__.startswith("torch.fx") or hasattr(model, "_guards_fn"):
        raise TypeError(
            "`model` was exported to a graph: its layers are no modules any more. Give the module that it came from."
        )
    return model


@contextlib.contextmanager
def watched(modules: Mapping[str, nn.Module], receive: Receive) -> Iterator[None]:
    """Call `receive` with what each of these modules gives, as often as it does, until the end.

    The output of the whole model is not watched here: `run` hands it over.
    """
    handles = []
    try:
        for path, module in modules.items():
            if path != OUTPUT:
                handles.append(module.register_forward_hook(_hook(path, receive)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(path: str, receive: Receive) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        receive(path, output)

    return hook


@contextlib.contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, no compiled code, no fast path for padding; modes and switches are put back, also after an error."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with evaluating([model]), torch.no_grad(), torch.compiler.set_stance("force_eager"):
        # Its outputs for padded batches are nested tensors, whose positions cannot be told from padding.
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


def run(model: nn.Module, batch: Batch, forward: Forward | None, autocast: torch.dtype | None = None) -> Any:
    """The model's answer to a batch, in the settings that the caller has chosen for his process."""
    device = next((p.device.type for p in model.parameters()), "cpu")
    half = torch.autocast(device, dtype=autocast) if autocast is not None else contextlib.nullcontext()
    with callers_settings(), half:
        return call(model, batch.content) if forward is None else forward(model, batch.content)
