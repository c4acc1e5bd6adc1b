"""Options that `layers` and `audit-model` share: which model, which samples, and how they go through it."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repgeom.models.checkpoints import Checkpoint
    from repgeom.models.inputs import Inputs


def add_model(parser: Any) -> None:
    """Options of the model and its input."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="folder of a transformers model (config.json) or a sentence-transformers model "
        "(modules.json), a name on the hub, or package.module:function that gives an nn.Module, or the module and a collate "
        "function")  # fmt: skip
    add("--texts", metavar="FILE", help="texts: .txt with one a line, or a column of .jsonl, .csv, .tsv, .parquet")
    add(
        "--text-column", metavar="NAME", help="the column of --texts that holds them (default: its only column of text)"
    )
    add("--images", metavar="FOLDER", help="images: all files below this folder")
    add("--batch-size", type=int, default=64, metavar="N", help="samples a forward pass (default 64)")
    add("--device", default="auto", metavar="NAME", help="where the model runs: auto (default), cpu, cuda, cuda:1, mps")
    add("--dtype", default="float32", choices=["float32", "float64", "bfloat16", "float16"], help="of the model's weights "
        "(default float32); pooling and sums stay in float32 and float64")  # fmt: skip


@contextlib.contextmanager
def told_of_model(name: str) -> Iterator[None]:
    """What a model raises while it runs is an error of that model, not of this program."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # a model may raise anything
        first = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(f"{name} failed on its input: {type(error).__name__}: {first}") from error


def opened(args: argparse.Namespace) -> tuple[Checkpoint, Inputs]:
    """The model and its samples. Raises ValueError where neither texts nor images are given, or those of the other kind."""
    import torch

    from repgeom.models.checkpoints import load_checkpoint
    from repgeom.models.inputs import images_from, texts_from

    if (args.texts is None) == (args.images is None):
        raise ValueError("give the model its input: --texts FILE or --images FOLDER, one of the two.")
    if args.batch_size < 1:
        raise ValueError(f"--batch-size takes a whole number of at least 1, got {args.batch_size}.")
    labels = getattr(args, "labels", None)
    if args.images is None and labels == "folders":
        raise ValueError(
            "--labels folders takes the folder of each image; for texts name a file, or a --labels-column."
        )
    if args.texts is None and getattr(args, "labels_column", None) is not None:
        raise ValueError("--labels-column names a column of --texts; for images give --labels folders, or a file.")
    most = getattr(args, "max_samples", None)
    if most is not None and most < 2:
        raise ValueError(f"--max-samples takes a whole number of at least 2, got {most}.")
    # Samples first: a mistyped path must not cost the loading of a model.
    if args.texts is not None:
        inputs = texts_from(args.texts, args.text_column, getattr(args, "labels_column", None))
    else:
        inputs = images_from(args.images, labels == "folders")
    given = "texts" if args.texts is not None else "images"
    checkpoint = load_checkpoint(args.model, device=args.device, dtype=getattr(torch, args.dtype), takes=given)
    if checkpoint.takes not in (given, "anything"):
        raise ValueError(f"{args.model} takes {checkpoint.takes}, and {given} were given: use --{checkpoint.takes}.")
    return checkpoint, inputs
