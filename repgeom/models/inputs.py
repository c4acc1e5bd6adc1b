"""Texts and images from files: what a model is fed on the command line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.formats.stored import natural
from repgeom.data.places import no_such_file
from repgeom.data.unchanged import OpenedFile

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm"}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """Samples by number: `item(i)` gives the text or the uint8 image (3, h, w); `labels` one per sample, where there are some."""

    n: int
    item: Callable[[int], Any]
    labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def batches(self, size: int, collate: Callable[[Sequence[Any]], Any], most: int | None = None) -> Iterator[Any]:
        """All samples, or the first `most`, as the model takes them."""
        n = self.n if most is None else min(self.n, most)
        for start in range(0, n, size):
            yield collate([self.item(i) for i in range(start, min(start + size, n))])


def texts_from(path: str, column: str | None = None, labels_column: str | None = None) -> Inputs:
    """Texts of a file: `.txt`, one a line (empty lines are passed over), `.jsonl`, or a table (`.csv`, `.tsv`, `.parquet`).

    Args:
        path: of the file.
        column: of a table or `.jsonl`, the one that holds the texts; by default its only column of text.
        labels_column: the one that holds labels.

    Raises:
        FileNotFoundError, ValueError: no such file; no texts; a column that is not there, or several that could be meant.
    """
    if not Path(path).exists():
        raise no_such_file(path)
    OpenedFile.of(path)  # devices and pipes are refused before they are opened
    extension = Path(path).suffix.lower()
    if extension in (".txt", ".text", ""):
        if column is not None or labels_column is not None:
            raise ValueError(f"{path} holds one text a line and no columns.")
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        texts = [line.strip() for line in lines if line.strip()]
        return _texts(path, texts, None, len(lines) - len(texts))
    frame = _table(path, extension)
    column = column or _only_text(path, frame)
    for name in (column, labels_column):
        if name is not None and name not in frame.columns:
            raise ValueError(f"{path} has no column {name!r}; its columns are {', '.join(map(str, frame.columns))}.")
    filled = frame[column].map(lambda cell: isinstance(cell, str) and bool(cell.strip())).to_numpy()
    texts = [str(cell).strip() for cell in frame[column][filled]]
    labels = frame[labels_column][filled].to_numpy() if labels_column is not None else None
    return _texts(path, texts, labels, int((~filled).sum()))


def _texts(path: str, texts: list[str], labels: np.ndarray | None, n_empty: int) -> Inputs:
    if len(texts) < 2:
        raise ValueError(f"{path} holds {len(texts)} texts; a profile needs at least 2.")
    notes = (f"{n_empty:,} empty texts were passed over.",) if n_empty else ()
    return Inputs(len(texts), texts.__getitem__, labels, notes)


def _table(path: str, extension: str) -> Any:
    import pandas as pd

    try:
        if extension in (".jsonl", ".ndjson"):
            rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
            return pd.DataFrame(rows)
        if extension in (".csv", ".tsv"):
            return pd.read_csv(path, sep="\t" if extension == ".tsv" else ",")
        if extension == ".parquet":
            return pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}.") from None
    raise ValueError(f"{path} cannot be read as texts: give .txt (one a line), .jsonl, .csv, .tsv or .parquet.")


def _only_text(path: str, frame: Any) -> str:
    found = [name for name in frame.columns if frame[name].map(lambda cell: isinstance(cell, str)).mean() > 0.5]
    if len(found) == 1:
        return str(found[0])
    names = ", ".join(map(str, found or frame.columns))
    raise ValueError(f"{path} has {len(found)} columns of text ({names}): name the one with `--text-column`.")


def images_from(folder: str, labelled: bool = False) -> Inputs:
    """All images below a folder, in natural order; `labelled` takes the folder that an image lies in as its label.

    Raises:
        FileNotFoundError, ValueError: no such folder; no images in it.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}.")
    files = sorted(
        (p for p in root.rglob("*") if p.suffix.lower() in IMAGES and p.is_file()), key=lambda p: natural(str(p))
    )
    if len(files) < 2:
        raise ValueError(f"{root} holds {len(files)} images ({', '.join(sorted(IMAGES))}); a profile needs at least 2.")
    labels = np.array([p.parent.name for p in files]) if labelled else None
    return Inputs(len(files), lambda i: _image(files[i]), labels)


def _image(path: Path) -> Tensor:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no image that can be read: {error}.") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)
