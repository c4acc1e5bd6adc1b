"""Functions of other people's modules, named as "package.module:function" on the command line."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any


def function_of(name: str, what: str) -> Any:
    """What a name stands for; `what` it shall be is said where it is not there.

    Raises:
        ValueError: no such module or function.
    """
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        # A script that is installed does not look in the folder where it is called.
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{what} {name!r} cannot be found: {error}.") from None
