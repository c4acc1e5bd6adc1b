"""Which files of a folder are its shards? All files of one kind, also those in partitions such as `label=3`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from repgeom.data.formats import FORMATS
from repgeom.data.formats.stored import extension_of, listing, natural

ZARR = ".zarr"  # of a folder that is one file
BESIDE = ("dataset_info.json", "state.json")  # what Hugging Face's `save_to_disk` writes beside its shards


def files_in(folder: str) -> list[str]:
    """The files that lie in a folder and one level deeper, in partitions at any depth, as paths within it."""
    return [Path(path).relative_to(folder).as_posix() for path in _walk(folder, deeper=True)]


def _is_model(members: list[str]) -> bool:
    """Whether these are the files of a transformers or sentence-transformers model."""
    starts, ends = ("model", "pytorch_model"), (".safetensors", ".bin")
    weights = [name for name in members if name.startswith(starts) and name.endswith(ends)]
    return "modules.json" in members or ("config.json" in members and bool(weights))


def _walk(folder: str, *, deeper: bool) -> Iterator[str]:
    for entry in os.scandir(folder):
        if not entry.is_dir() or extension_of(entry.name) == ZARR:
            yield entry.path
        elif "=" in entry.name:
            yield from _walk(entry.path, deeper=deeper)
        elif deeper and not entry.name.startswith((".", "_")):
            yield from _walk(entry.path, deeper=False)


def shards_of(folder: str, members: Iterable[str]) -> list[str]:
    """The members of a folder that are its shards, in natural order.

    Args:
        folder: for messages.
        members: paths of files within the folder, with `/` between the parts.

    Raises ValueError where the files are of several kinds, or lie in folders that are no partitions: with a pattern that
    says which are meant.
    """
    members = list(members)
    if _is_model(members):
        raise ValueError(
            f"{folder} holds a model and no features: audit what it gives, `repgeom audit-model {folder} --texts FILE` (or `--images "
            "FOLDER`)."
        )
    kinds: dict[str, list[str]] = {}
    for member in _visible(members):
        extension = extension_of(member)
        if extension in FORMATS and os.path.basename(member) not in BESIDE:
            kinds.setdefault(extension, []).append(member)
    if not kinds:
        raise ValueError(f"{folder} is a folder, not a file. It has none of {', '.join(FORMATS)}.")
    nested = [member for members in kinds.values() for member in members if not _is_in_partitions(member)]
    if len(kinds) == 1 and not nested:
        return sorted(next(iter(kinds.values())), key=natural)
    depth = ""
    why = f"holds files of {len(kinds)} kinds"
    if nested:
        depth = "**/"
        why = f"holds files in folders that are no partitions ({listing(sorted(nested, key=natural), most=2)})"
    patterns = " or ".join(f"'{folder.rstrip('/')}/{depth}*{extension}'" for extension in sorted(kinds))
    raise ValueError(
        f"{folder} is a folder, not a file, and {why}. To join its files, give a quoted pattern: {patterns}."
    )


def _visible(members: Iterable[str]) -> dict[str, None]:
    """Members without hidden files and what other programs write beside shards (`_SUCCESS`); a Zarr store is one member."""
    found: dict[str, None] = {}
    for member in members:
        parts = member.split("/")
        if any(part.startswith((".", "_")) for part in parts):
            continue
        stores = [i for i, part in enumerate(parts) if extension_of(part) == ZARR]
        if stores:
            parts = parts[: stores[0] + 1]
        found["/".join(parts)] = None
    return found


def _is_in_partitions(member: str) -> bool:
    return all("=" in part for part in member.split("/")[:-1])


def partitions_of(member: str) -> dict[str, str]:
    """The values that the folders on the way to a file give its rows: `label=3/part-0.parquet` has the label 3."""
    pairs = (part.partition("=") for part in member.split("/")[:-1])
    return {name: value for name, _, value in pairs if value}
