"""The geometry of a representation: is it collapsed, how many dimensions does it use, what did it keep?

>>> import repgeom as rg
>>> x = rg.testing.features_with_spectrum([3.0, 3.0, 3.0, 0.0], n_samples=100)
>>> round(rg.effective_rank(x), 6)
3.0
"""

from __future__ import annotations

# As in `typing`, which takes as long to load as all else that a command needs before it can answer Ctrl-C.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from repgeom.public import *
    from repgeom.public import __version__ as __version__


def __getattr__(name: str) -> Any:
    """The public names live in `repgeom.public`, which loads torch.

    The command line imports this package too. It must be able to answer Ctrl-C, and an error of an import, before torch
    is loaded: so nothing heavy is imported here.
    """
    from importlib import import_module

    if name.startswith("__") and name not in ("__all__", "__version__"):
        raise AttributeError(f"module 'repgeom' has no attribute {name!r}")
    public = import_module("repgeom.public")
    try:
        found = getattr(public, name)
    except AttributeError:
        raise AttributeError(f"module 'repgeom' has no attribute {name!r}") from None
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    from repgeom.public import __all__

    return sorted([*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__", "__version__"])
