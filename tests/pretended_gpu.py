"""CPU tensors that say they lie on a GPU: what would mix devices there, or read them as NumPy, fails here too."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

GPU = torch.device("cuda", 0)


class Pretended(torch.Tensor):
    """Wraps a tensor of the CPU, on which everything is worked out."""

    inner: torch.Tensor
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Pretended:
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device="meta"
        )
        made.inner = inner
        return made

    def __init__(self, inner: torch.Tensor) -> None:
        pass

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")

    __array__ = numpy

    def cpu(self) -> torch.Tensor:
        return self.to("cpu")

    def tolist(self) -> list[Any]:
        return self.cpu().tolist()

    def new_tensor(self, data: Any, *, dtype: Any = None) -> Pretended:
        return Pretended(torch.tensor(data, dtype=dtype or self.dtype))

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Also sees what makes tensors out of nothing."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


@contextlib.contextmanager
def pretending() -> Iterator[None]:
    """Within, "cuda" is a device, of a GPU like an H100."""
    made = torch.tensor

    def tensor(data: Any, *, device: Any = None, **kwargs: Any) -> torch.Tensor:
        return Pretended(made(data, **kwargs)) if _is_gpu(device) else made(data, device=device, **kwargs)

    known = {"_lazy_init": lambda: None, "get_device_capability": lambda device=None: (9, 0), "mem_get_info": lambda device=None: (1 << 36, 1 << 36)}  # fmt: skip
    with mock.patch.multiple(torch.cuda, **known), mock.patch.object(torch, "tensor", tensor), _Mode():
        yield


def _is_gpu(device: Any) -> bool:
    # Parts of torch ask a wrapper for its device and are told "meta".
    return device is not None and torch.device(device).type in ("cuda", "meta")


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = function.name()
    given: list[torch.Tensor] = []
    tree_map(lambda x: given.append(x) if isinstance(x, torch.Tensor) else None, (args, kwargs))
    ours = [x for x in given if isinstance(x, Pretended)]
    asked = kwargs.get("device")
    there = bool(ours) if asked is None else _is_gpu(asked)
    if name in ("aten::_local_scalar_dense", "aten::equal"):
        there = False
    # Numbers and lists of places may come from the CPU; all else must lie where the rest does.
    elif name not in ("aten::copy_", "aten::_to_copy"):
        others = [x for x in given if not isinstance(x, Pretended) and x.ndim]
        if ours and others and not (name.startswith("aten::index.") and isinstance(args[0], Pretended)):
            raise RuntimeError(f"Expected all tensors to be on the same device, but found cuda:0 and cpu! ({name})")
    if asked is not None:
        kwargs = {**kwargs, "device": "cpu"}
    here = {id(x.inner): x for x in ours}  # so that what is changed in place stays the same object

    def given_back(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or not there:
            return x
        same = here.get(id(x))
        return same if same is not None and same.shape == x.shape else Pretended(x)

    if name == "aten::copy_":
        _inner(args[0]).copy_(_inner(args[1]))
        return args[0]
    return tree_map(given_back, function(*tree_map(_inner, args), **tree_map(_inner, kwargs)))


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, Pretended) else x
