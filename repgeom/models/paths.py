"""Which layers of a model are meant: module paths, and patterns of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from torch import nn

OUTPUT = "output"  # what the model itself returns; its module path is empty


def bare(model: nn.Module) -> nn.Module:
    """The model without what was put around it: `torch.compile`, DataParallel and DistributedDataParallel."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def modules_by_path(model: nn.Module) -> dict[str, nn.Module]:
    """Every module under each of its paths: one that is used twice, under two names, has both. The model itself is `output`."""
    found: dict[str, nn.Module] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        # A compiled part stands behind a name of its own, which nobody typed. It comes after its wrapper and takes its place.
        clean = ".".join(part for part in path.split(".") if part != "_orig_mod")
        found[clean] = module
    found[OUTPUT] = found.pop("")
    return found


def matching(patterns: Sequence[str], paths: Iterable[str]) -> list[str]:
    """The paths that fit any of the patterns, in the order of the model.

    `*` stands for any characters but a dot, `**` for any characters, `?` for one that is no dot.

    Raises:
        ValueError: a pattern that fits no path; close ones are named.

    >>> matching(["layers.*"], ["layers", "layers.0", "layers.1", "layers.1.mlp"])
    ['layers.0', 'layers.1']
    """
    paths = list(paths)
    chosen: set[str] = set()
    for pattern in patterns:
        expression = re.compile(_expression(pattern))
        fitting = [path for path in paths if path == pattern or expression.fullmatch(path)]
        if not fitting:
            raise ValueError(f"no layer fits {pattern!r}.{_close(pattern, paths)}")
        chosen.update(fitting)
    return [path for path in paths if path in chosen]


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    signs = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    return "".join(signs.get(part, re.escape(part)) for part in parts)


def _close(pattern: str, paths: Sequence[str]) -> str:
    close = difflib.get_close_matches(pattern.replace("*", "0"), paths, n=5, cutoff=0.4)
    if not close:
        close = list(paths)[:5]
    return f" Close ones are {', '.join(close)}; `*` stops at a dot, `**` crosses it."


def blocks_of(modules: Mapping[str, nn.Module], fired: Iterable[str]) -> list[str]:
    """The blocks of a model: the elements of its outermost lists of two or more modules of one class, of those that fired."""
    ran = set(fired)
    found: list[str] = []
    for path, module in modules.items():
        if not isinstance(module, (nn.ModuleList, nn.Sequential)) or _inside(path, found):
            continue
        prefix = "" if path == OUTPUT else f"{path}."
        elements = [f"{prefix}{name}" for name, _ in module.named_children()]
        elements = [name for name in elements if name in ran]
        classes = {type(modules[name]) for name in elements}
        has_parts = any(True for name in elements for _ in modules[name].children())
        if len(elements) > 1 and len(classes) == 1 and has_parts:
            found += elements
    return found


def _inside(path: str, others: Iterable[str]) -> bool:
    return any(path.startswith(f"{other}.") for other in others)


# Words in the last part of a path, or in the name of a class.
_FIRST = re.compile(r"embed|wte|wpe|patch|stem|conv1$|conv_in", re.IGNORECASE)
_LAST = re.compile(r"pool|proj|head|^fc|classifier|norm|^ln", re.IGNORECASE)


def automatic(modules: Mapping[str, nn.Module], fired: Sequence[str]) -> list[str]:
    """What "auto" takes: embeddings, each block, the final norm, pooler or projection, the output.

    Args:
        modules: by path.
        fired: paths that gave a tensor of features, in the order in which they first did.

    Without blocks (a plain Sequential) it is every direct part of the model that fired, and the parts of one that is a Sequential.
    """
    blocks = blocks_of(modules, fired)
    if not blocks:
        direct = _direct_parts(modules)
        return [path for path in fired if path in direct]
    first = min(fired.index(block) for block in blocks)
    # Modules around the blocks: outside of them, and not their containers.
    around = [path for path in fired if not _inside(path, blocks) and path not in blocks and path != OUTPUT]

    def named(path: str, words: re.Pattern[str]) -> bool:
        return bool(words.search(path.rpartition(".")[2]) or words.search(type(modules[path]).__name__))

    # Of two towers, the norm of the first runs between the blocks of both.
    before = _outermost([path for path in around if fired.index(path) < first and named(path, _FIRST)])
    after = _outermost([path for path in around if fired.index(path) > first and named(path, _LAST)])
    chosen = {*before, *blocks, *after, OUTPUT}
    return [path for path in fired if path in chosen]


def _direct_parts(modules: Mapping[str, nn.Module]) -> set[str]:
    """The direct parts of a model, and in the place of a Sequential its own: networks are often a body and a head."""
    direct = {path for path in modules if "." not in path}
    bodies = [path for path in direct if path != OUTPUT and isinstance(modules[path], nn.Sequential)]
    # More than two are steps of the model's own, such as those of a U-Net.
    if len(bodies) > 2:
        return direct
    for body in bodies:
        direct.discard(body)
        direct |= {path for path in modules if path.rpartition(".")[0] == body}
    return direct


def _outermost(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not _inside(path, paths)]
