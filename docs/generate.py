"""Pages of the site that only its build needs: the API, and pages that lie elsewhere in the project.

They are written to `docs/generated` at each build and are not kept.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import repgeom as rg
from repgeom.data.kinds import KINDS

DOCS = Path(__file__).parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"

# Rooms whose functions are shown as `rg.NAME`; a page each. Others keep the name of their folder.
TITLES = {
    "auditing": "Audits and reports",
    "data": "Opening files",
    "inference": "Estimates and comparisons",
    "measures": "Measures",
    "presenting": "Plots",
    "probes": "Neighbours and probes",
    "spectral": "Spectra",
}
SUBMODULES = tuple(sorted(name for name in rg.__all__ if inspect.ismodule(getattr(rg, name))))
# Pages that lie elsewhere and are read there too: where they stand in the site.
BROUGHT = {
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "benchmarks/README.md": "benchmarks",
    "benchmarks/gpu.md": "benchmarks_gpu",
    "examples/README.md": "examples",
    "examples/distillation_report/report.md": "distillation_report",
    "studies/README.md": "studies",
    **{f"studies/{page.name}": f"study_{page.stem}" for page in sorted((ROOT / "studies").glob("[!R]*.md"))},
}


def write() -> None:
    """Write every generated page, and touch none that is as it was, so that the next build is quick."""
    pages = api_pages()
    for source, name in BROUGHT.items():
        pages[name] = brought_page(source)
    GENERATED.mkdir(exist_ok=True)
    for old in GENERATED.glob("*.md"):
        if old.stem not in pages:
            old.unlink()
    for name, text in pages.items():
        path = GENERATED / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


# The API ----------------------------------------------------------------------------------------------------------


def public_names() -> dict[str, Any]:
    """Every public object by the name that a user writes, each once: `repgeom.audit`, `repgeom.models.layers`."""
    found: dict[str, Any] = {}
    for place in ("repgeom", *(f"repgeom.{name}" for name in SUBMODULES)):
        module = rg if place == "repgeom" else importlib.import_module(place)
        for name in module.__all__:
            found[f"{place}.{name}"] = getattr(module, name)
    kinds = {f"repgeom.types.{name}" for name in KINDS}
    return {name: value for name, value in found.items() if not isinstance(value, ModuleType) and name not in kinds}


def documented_names() -> dict[str, Any]:
    """The public names without those under which an object is shown a second time."""
    first: dict[int, str] = {}
    for name, value in public_names().items():
        first.setdefault(id(value), name)
    return {name: value for name, value in public_names().items() if first[id(value)] == name}


def api_pages() -> dict[str, str]:
    """A page for each room whose names stand in `rg` itself, and one for each of its modules."""
    pages: dict[str, list[str]] = {}
    for name, value in documented_names().items():
        parts = name.split(".")
        key = f"api_{parts[1]}"
        if len(parts) == 2:
            key = f"rg_{_room(value)}"
        pages.setdefault(key, []).append(name)
    texts = {key: _api_page(key, names) for key, names in pages.items()}
    texts["api_integrations"] = _integrations_page()
    return texts


def _room(value: Any) -> str:
    return str(getattr(value, "__module__", "repgeom.data")).split(".")[1]


def _api_page(key: str, names: list[str]) -> str:
    room = key.removeprefix("rg_").removeprefix("api_")
    if key.startswith("rg_"):
        title, intro = TITLES.get(room, room), _first_paragraph(importlib.import_module(f"repgeom.{room}"))
    else:
        title, intro = f"rg.{room}", _first_paragraph(importlib.import_module(f"repgeom.{room}"))
    by_module: dict[str, list[str]] = {}
    for name in names:
        by_module.setdefault(getattr(public_names()[name], "__module__", "") or "", []).append(name)
    lines = [f"# {title}", "", intro, ""]
    for module, of_module in by_module.items():
        if len(by_module) > 1 and module.startswith("repgeom."):
            lines += [f"## {_heading(module)}", ""]
        for name in sorted(of_module):
            lines += _auto(name)
    if room == "types":
        lines += ["## Shown elsewhere", "", *_shown_elsewhere("repgeom.types"), ""]
        lines += ["## What functions take and give", "", *_kinds(), ""]
    return "\n".join(lines)


def _shown_elsewhere(place: str) -> list[str]:
    first = {id(value): name for name, value in documented_names().items()}
    again = [name for name in public_names() if name.startswith(f"{place}.") and name not in documented_names()]
    return [f"* `{name}` is {{py:obj}}`{first[id(public_names()[name])]}`" for name in again]


def _kinds() -> list[str]:
    lines = ["```{eval-rst}"]
    for name, words in sorted(KINDS.items()):
        lines += [f".. py:data:: repgeom.types.{name}", "", f"   {words.replace('`', '``')}", ""]
    return [*lines, "```"]


def _auto(name: str) -> list[str]:
    value = public_names()[name]
    kind, options = "autodata", [":no-value:"]
    if inspect.isclass(value):
        kind, options = (
            "autoclass",
            [":members:", ":show-inheritance:"] if issubclass(value, Exception) else [":members:"],
        )
    elif callable(value):
        kind, options = "autofunction", []
    return ["```{eval-rst}", f".. {kind}:: {name}", *(f"   {option}" for option in options), "```", ""]


def _integrations_page() -> str:
    lines = ["# repgeom.integrations", "", "Each needs its host, and `import repgeom` loads none.", ""]
    for module, name in (
        ("lightning", "MonitorCallback"),
        ("huggingface", "MonitorCallback"),
        ("torchmetrics", "SpectralMetric"),
    ):
        full = f"repgeom.integrations.{module}.{name}"
        lines += [f"## {module}", "", "```{eval-rst}", f".. autoclass:: {full}", "```", ""]
    return "\n".join(lines)


def _first_paragraph(module: ModuleType) -> str:
    return " ".join((module.__doc__ or "").split("\n\n")[0].split())


def _heading(module: str) -> str:
    """The question that a module answers: the first sentence of its docstring."""
    sentence = re.split(r"(?<=[.?:])\s", _first_paragraph(importlib.import_module(module)))[0]
    return sentence.rstrip(".:").replace("`", "")


# Pages from elsewhere ---------------------------------------------------------------------------------------------


def brought_page(source: str) -> str:
    """A page of the project with its links changed: to pages of the site, else to the name of the file alone."""
    path = ROOT / source
    text = _LINK.sub(lambda link: _moved(link, path.parent, GENERATED), path.read_text())
    if len(re.findall("^# ", text, re.MULTILINE)) > 1:
        # A page has one title.
        text = f"# {Path(source).stem.capitalize()}\n\n" + re.sub("^#", "##", text, flags=re.MULTILINE)
    return text


def moved_links(app: Any, name: str, text: list[str]) -> None:
    """Change the links of a page of the site that lead out of it, as Sphinx reads it; names of a list of functions become links."""
    if not name.startswith("generated/"):
        folder = (DOCS / name).parent
        text[0] = _LINK.sub(lambda link: _moved(link, folder, folder), text[0])
    if name == "measures":
        text[0] = linked_names(text[0])


def linked_names(text: str) -> str:
    """Lines of tables in which names of functions link to the reference. In the file they are plain, for who reads it there."""
    shown = set(documented_names())

    def linked(name: re.Match[str]) -> str:
        short = name[1].removeprefix("rg.")
        if f"repgeom.{short}" not in shown:
            return name[0]
        return f"{{py:obj}}`{name[1]} <repgeom.{short}>`"

    return re.sub(r"^\|.*$", lambda line: re.sub(r"(?<!})`([\w.]+)`", linked, line[0]), text, flags=re.MULTILINE)


_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def _moved(link: re.Match[str], of: Path, at: Path) -> str:
    """A link of a page in folder `of` that is to stand in folder `at` of the site."""
    picture, text, target = link.groups()
    if ":" in target or target.startswith("#"):
        return link[0]
    wanted = (of / target.partition("#")[0]).resolve()
    inside = wanted.relative_to(ROOT).as_posix()
    if inside in BROUGHT:
        wanted = GENERATED / f"{BROUGHT[inside]}.md"
    elif not picture and DOCS not in wanted.parents:
        return f"{text} (`{inside}`)"
    anchor = "#" + target.partition("#")[2] if "#" in target else ""
    return f"{picture}[{text}]({os.path.relpath(wanted, at)}{anchor})"


def names_in(pages: Iterable[str]) -> set[str]:
    """The names that pages of the API document."""
    return set(re.findall(r"^\.\. auto\w+:: ([\w.]+)$", "\n".join(pages), re.MULTILINE))


if __name__ == "__main__":
    write()
