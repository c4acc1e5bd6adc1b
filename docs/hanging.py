"""Lines of code and of output that wrap on a narrow screen go on below their own beginning, not at the margin."""

from __future__ import annotations

import html
import re
from typing import Any

_BLOCK = re.compile(r"<pre>(.*?)</pre>", re.DOTALL)


def connect(app: Any) -> None:
    """Hook into a build."""
    app.connect("html-page-context", _of_page)


def _of_page(app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    if "body" in context:
        context["body"] = hung(context["body"])


def hung(body: str) -> str:
    """The page with each line of each block in a box that knows its indent."""
    return _BLOCK.sub(_hung_block, body)


def _hung_block(block: re.Match[str]) -> str:
    lines = block[1].removesuffix("\n").split("\n")
    if any(line.count("<span") != line.count("</span>") for line in lines):
        # A box cannot end inside a span.
        return block[0]
    return f"<pre>{''.join(map(_hung_line, lines))}</pre>"


def _hung_line(line: str) -> str:
    words = html.unescape(re.sub("<[^>]*>", "", line))
    indent = len(words) - len(words.lstrip(" "))
    return f'<span class="hanging" style="--indent: {indent}ch">{line}\n</span>'
