"""What the build looks after beside Sphinx: names in annotations become links to public names, and inside links are followed."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from docs.generate import documented_names
from repgeom.data.kinds import KINDS


def connect(app: Any) -> None:
    """Hook into a build."""
    app.connect("missing-reference", public_reference)
    app.connect("build-finished", follow_links)


def public_reference(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """A link to the public name of an object that is named by where it is defined, or by its short name."""
    target = node.get("reftarget", "").removeprefix("rg.")
    domain = env.get_domain("py")
    if target.removeprefix("repgeom.data.kinds.") in KINDS:
        name = f"repgeom.types.{target.removeprefix('repgeom.data.kinds.')}"
        return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)
    for name, value in documented_names().items():
        defined = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if target in (defined, name, name.removeprefix("repgeom."), name.rpartition(".")[2]):
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, contnode)
    return None


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if value and key in ("href", "src"):
                self.links.append(value)
            if value and key in ("id", "name"):
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """Links of built pages that lead to no file of the site, or to no anchor of a page."""
    pages = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            if not target.exists():
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                broken.append(f"{path.relative_to(site.resolve())}: {link} (no such anchor)")
    return sorted(set(broken))


def follow_links(app: Any, exception: Exception | None) -> None:
    """Fail the build where a link inside the site is broken."""
    if exception is not None or app.builder.format != "html":
        return
    from sphinx.errors import SphinxError

    broken = broken_links(Path(app.outdir))
    if broken:
        raise SphinxError("broken links inside the site:\n" + "\n".join(broken))
