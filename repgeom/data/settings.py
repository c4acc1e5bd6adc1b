"""In which settings does a public function run? In its own, whatever the caller has chosen for his process.

Autocast, a default device, inexact products, flushed subnormals and NumPy's error states change what arithmetic gives.
Every public function and class carries `own_settings`, which puts them aside for the call and back at its end. What belongs
to the caller (an encoder, a stream of batches) runs in `callers_settings`. The default dtype belongs to all threads of a process and cannot be
put aside for one of them: code here says the type of each tensor that it makes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_AUTOCAST_DEVICES = ("cpu", "cuda", "xpu", "mps", "hpu", "xla", "mtia", "privateuseone")
_SUBNORMAL = 5e-324
# Where the processor or torch rounds products of float32 to fewer digits: torch 2.9 and later, each by its own switch.
_PRODUCTS = tuple(
    place
    for place in (getattr(torch.backends.cuda, "matmul", None), getattr(torch.backends.mkldnn, "matmul", None))
    if hasattr(torch.backends, "fp32_precision") and place is not None
)


def own_settings(public: F) -> F:
    """A public function or class whose answers do not depend on settings of the process.

    Of a class, every public method and property is guarded, and the making of an object. Signature, docstring, name and module stay.
    """
    if not inspect.isclass(public):
        return _guarded(public)  # type: ignore[return-value]
    is_record = dataclasses.is_dataclass(public)  # its own `__init__` only takes values
    for name, member in list(vars(public).items()):
        if not name.startswith("_") or (name == "__init__" and not is_record):
            guarded = _guarded_member(member)
            if guarded is not member:
                setattr(public, name, guarded)
    public._runs_in_own_settings = True  # type: ignore[attr-defined]
    return public


def has_own_settings(public: Any) -> bool:
    """Whether a function or class carries `own_settings`."""
    return "_runs_in_own_settings" in vars(public)


@contextlib.contextmanager
def callers_settings() -> Iterator[None]:
    """Run code of the caller in the settings that he called us in."""
    guard = _thread.guard
    if guard is None:
        yield
        return
    guard.leave()
    try:
        yield
    finally:
        guard.enter()


def from_caller(batches: Iterable[T]) -> Iterator[T]:
    """The items of the caller's stream, each made in the settings that he called us in."""
    with callers_settings():
        iterator = iter(batches)
    while True:
        with callers_settings():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def warn_caller(message: str | Warning) -> None:
    """A UserWarning, or the one given, at the line that called this package."""
    level, frame = 1, sys._getframe()
    # A context manager of ours ends by way of `contextlib`.
    ours = ("repgeom", "contextlib")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ours:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in our settings. Within a call of ours they hold already."""
    guard_of, make_guard = _thread, _Guard

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if guard_of.guard is not None:
            return function(*args, **kwargs)
        with make_guard():
            return function(*args, **kwargs)

    # It stands in the function's own module, where doctest looks for examples.
    made = types.FunctionType(
        wrapper.__code__, getattr(function, "__globals__", globals()), closure=wrapper.__closure__
    )
    functools.update_wrapper(made, function)
    made._runs_in_own_settings = True  # type: ignore[attr-defined]
    return made


def _guarded_member(member: Any) -> Any:
    """A method or property in our settings; anything else as it is."""
    if inspect.isfunction(member):
        return _guarded(member)
    if isinstance(member, (classmethod, staticmethod)):
        return type(member)(_guarded(member.__func__))
    if isinstance(member, property) and member.fget is not None:
        return property(_guarded(member.fget), member.fset, member.fdel, member.__doc__)
    if isinstance(member, functools.cached_property):
        member.func = _guarded(member.func)
    return member


class _Guard:
    """Our settings from `enter` to `leave`, which puts the caller's back."""

    def __init__(self) -> None:
        self._putting_back = contextlib.ExitStack()

    def __enter__(self) -> _Guard:
        self.enter()
        return self

    def __exit__(self, *error: Any) -> None:
        self.leave()

    def enter(self) -> None:
        _thread.guard = self
        enter = self._putting_back.enter_context
        enter(np.errstate(all="ignore"))
        if torch.is_inference_mode_enabled():
            # What is made in this mode can never take part in a gradient, not even later.
            enter(torch.inference_mode(False))
            enter(torch.no_grad())
        if torch._C._is_any_autocast_enabled():
            enter(_without_autocast())
        if torch._C._len_torch_function_stack():
            # A default device is such a mode: it would move what we make to another device than the rows.
            enter(torch._C.DisableTorchFunction())
        if _SUBNORMAL * 1.0 == 0:
            enter(_with_subnormals())
        # Also where another thread of ours has made them exact: it may end before this one does.
        if _exact_products.inside or not _products_are_exact():
            enter(_exact_products)

    def leave(self) -> None:
        _thread.guard = None
        self._putting_back.close()


class _Thread(threading.local):
    guard: _Guard | None = None  # of the public function that this thread is in


_thread = _Thread()


@contextlib.contextmanager
def _without_autocast() -> Iterator[None]:
    devices = [device for device in _AUTOCAST_DEVICES if torch.is_autocast_enabled(device)]
    for device in devices:
        torch.set_autocast_enabled(device, False)
    try:
        yield
    finally:
        for device in devices:
            torch.set_autocast_enabled(device, True)


@contextlib.contextmanager
def _with_subnormals() -> Iterator[None]:
    torch.set_flush_denormal(False)
    try:
        yield
    finally:
        torch.set_flush_denormal(True)


def _products_are_exact() -> bool:
    if _PRODUCTS:
        return all(place.fp32_precision in ("ieee", "none") for place in _PRODUCTS)
    return torch.get_float32_matmul_precision() == "highest"


class _ExactProducts:
    """Products of float32 to all digits of float32. The switch belongs to the process: the first one in turns it, the last one out
    turns it back. Meanwhile other threads get products that are more exact than they asked for.
    """

    def __init__(self) -> None:
        self._lock, self.inside = threading.Lock(), 0
        self._callers: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        with self._lock:
            self.inside += 1
            if self.inside == 1:
                self._callers = self._turn(("ieee",) * len(_PRODUCTS) or ("highest",))

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            self.inside -= 1
            if self.inside == 0:
                self._turn(self._callers)

    @staticmethod
    def _turn(precisions: tuple[Any, ...]) -> tuple[Any, ...]:
        """Set these precisions and return those before."""
        if not _PRODUCTS:
            before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision(precisions[0])
            return (before,)
        found = tuple(place.fp32_precision for place in _PRODUCTS)
        for place, precision in zip(_PRODUCTS, precisions, strict=True):
            place.fp32_precision = precision
        return found


_exact_products = _ExactProducts()
