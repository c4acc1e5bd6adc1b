"""The page that benchmarks/gpu.json makes: each bar, and whether it held, then the numbers of every row."""

from __future__ import annotations

from typing import Any

from benchmarks.page import listed, markdown

HEAD = """\
# On a GPU

    PYTHONPATH=. python -m benchmarks.gpu --budget 420

One command, one card, some minutes. The **floor** is what the arithmetic must cost on that card: a plain torch product of the
features with themselves in the precision that repgeom multiplies in, and one float64 `eigvalsh`. Errors are against float64
products of the same values. Times are medians of three calls after a first one, of what takes seconds the better of two. This
page is written from `gpu.json`, which also holds profiles of what is slow: `python -m benchmarks.gpu --page`.
"""
BEYOND = """\
What no code here can mend:

* **20 times faster than svdvals.** cuSOLVER's float64 `eigvalsh` takes a seventh to a tenth of what `torch.linalg.svdvals` takes
  for the whole (see eigen-large; float32 is no faster, MAGMA five to eight times slower). A method that ends in it cannot be
  more than 7 to 10 times faster than svdvals.
* **An audit at twice its spectrum, an estimate at three times.** Both decompose the rows three times, all of them and two
  halves, and an eigendecomposition is two thirds of a spectrum's time. The rest is fitted on the CPU: non-negative least
  squares for the population behind a sample spectrum, and a search for copies among 8,192 rows.
* **A profile of layers at 1.2 times its forward passes.** Each layer's report is such an audit. The fixed time of a report
  counts for less with more samples, a larger model or fewer layers.
"""


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    rows = results["rows"]
    parts = [HEAD, *sorted({_where(row) for row in rows.values() if "card" in row}), ""]
    bars = [[name, bar["what"], shown(bar["value"]), limit(bar), verdict(bar)] for name, row in rows.items() for bar in row.get("bars", [])]  # fmt: skip
    parts += ["## Bars", "", markdown(["row", "what", "measured", "bar", "held"], bars), BEYOND]
    for name, row in rows.items():
        parts += [f"## {name}", "", _ending(row)]
        numbers = [[what, shown(value)] for what, value in row.get("numbers", {}).items() if not isinstance(value, (dict, list))]  # fmt: skip
        if numbers:
            parts.append(markdown(["what", "measured"], numbers))
    return "\n".join(parts)


def _where(row: dict[str, Any]) -> str:
    torch = f"CUDA {row['about'].get('cuda')}"
    return f"* {row['date']}, commit {row['commit']}: {row['card']}; {row['processor']}, {row['about'].get('threads')} threads; {torch}, {listed(row['versions'])}"


def _ending(row: dict[str, Any]) -> str:
    if row["ended"] == "measured":
        return ""
    return f"{row['ended']}: {row.get('why', '').strip().splitlines()[-1] if row.get('why') else ''}\n"


def shown(value: Any) -> str:
    """Three digits of a float; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}"
    return f"{value:.3g}"


def limit(bar: dict[str, Any]) -> str:
    if "least" in bar:
        return f"at least {bar['least']:g}"
    return f"at most {bar['most']:g}"


def holds(bar: dict[str, Any]) -> bool:
    """Whether the number keeps its bar; one that is no number does not."""
    if "least" in bar:
        return bool(bar["value"] >= bar["least"])
    return bool(bar["value"] <= bar["most"])


def verdict(bar: dict[str, Any]) -> str:
    return "yes" if holds(bar) else "**no**"


def sentence(bar: dict[str, Any]) -> str:
    """One line for a terminal."""
    word = "held  " if holds(bar) else "MISSED"
    return f"{word} {bar['what']}: {shown(bar['value'])} ({limit(bar)})"
