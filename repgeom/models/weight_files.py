"""The files of a transformers checkpoint: are they files, do they stay in their folder, and how are they loaded quietly?"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from repgeom.data.unchanged import OpenedFile
from repgeom.models.preprocessing import SETTINGS

__all__ = ["check_weight_files", "quiet_transformers"]

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def check_weight_files(folder: str | os.PathLike[str]) -> None:
    """Looks at a checkpoint's files before anything opens them.

    Args:
        folder: of a transformers checkpoint, whole or in parts that an index names.

    Raises:
        ValueError: a pipe, a device or the like in place of a file; an index that is none, or that leads out of the folder.

    >>> import tempfile
    >>> check_weight_files(tempfile.gettempdir())  # nothing there, nothing wrong with it
    """
    root = Path(folder)
    for index in (root / file for file in WEIGHTS if file.endswith(".index.json")):
        if index.exists():
            _check_index(root, index)
    for file in (CONFIG, *WEIGHTS, *SETTINGS):
        if (root / file).exists():
            OpenedFile.of(str(root / file))


def _check_index(folder: Path, index: Path) -> None:
    OpenedFile.of(str(index))
    try:
        parts = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is not an index of weights ({type(error).__name__}: {error}).") from None
    for part in parts:
        if not isinstance(part, str) or "\\" in part or os.path.isabs(part) or ".." in Path(part).parts:
            raise ValueError(f"{index} names {part!r}, which lies outside {folder}. Copy the weights into the folder.")
        if (folder / part).is_symlink() or (folder / part).exists():
            OpenedFile.of(str(folder / part))


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Errors only, and no bars, while transformers loads a model: it would list each weight that is not needed.

    >>> with quiet_transformers():
    ...     pass
    """
    from transformers.utils import logging

    log: Any = logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.ERROR)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
