"""Functions of other people's modules, named as "package.module:function" on the command line."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any


def function_of(name: str, what: str) -> Any:
    """What a name stands for; `what` it shall be is said where it is not there.

    Raises:
        ValueError: no such module or function, or a module that fails when it is imported.
    """
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        # A script that is installed does not look in the folder where it is called.
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{what} {name!r} cannot be found: {error}.") from None
    # A module of somebody else's can fail in any way.
    except Exception as error:
        raise ValueError(f"{what} {name!r} cannot be imported: {reason_of(error)}.") from error


def reason_of(error: Exception) -> str:
    """What went wrong in code of somebody else's, in one line, with the place in it."""
    words = f"{type(error).__name__}: {error}".splitlines()[0]
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is None or isinstance(error, SyntaxError):
        return words
    return f"{words} ({os.path.basename(place.tb_frame.f_code.co_filename)}, line {place.tb_lineno})"
