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
FINDINGS = """\
## What the numbers say

There were two runs on an H200 and one, in two parts, on an H100; each row says which one it is of.

* **Tests.** 400 passed on the H100. Of the 16 that failed on the H200 all were faults of the tests: they gave rows on the GPU to
  NumPy, or to a transformer of scikit-learn, which takes none.
* **20 times faster than svdvals** is out of reach. At 50,000 × 1,024, `torch.linalg.svdvals` takes 66 ms and cuSOLVER's float64
  `eigvalsh` alone 9.9 of the 16 ms of a spectrum: no method that ends in it can be more than 6.7 times faster (9.8 times at 4,096
  columns). In float32 it is no faster, and MAGMA is 5 to 28 times slower (rows eigen-large and eigen-8192).
* **An audit** takes 0.29 s on the H100, 18 spectra. In the second run on the H200 it took 0.36 s, 20 spectra, and in the first 82
  spectra. Under the profilers on the H200, 118 ms of it sort the lengths of the rows, 13 times over (since then twice), 74 ms search
  for copies, 53 ms are non-negative least squares on the CPU, and 45 ms the four decompositions: 2.6 spectra by themselves, so that 2
  cannot be reached. **With labels** it takes 1.9 s, of which about 0.7 s find covariances and
  eigenvectors for the proposed repairs on the CPU, and 0.11 s the spectra of classes.
* **An estimate** takes 0.12 s on the H100, 7 spectra, and took 0.16 s, 9 spectra, on the H200. There three decompositions, of all rows and of two halves, are 35 ms, or 2 spectra; 73 ms fit
  the population behind the sample on the CPU, 46 of them non-negative least squares.
* **A profile of layers** takes 2.4 times the bare passes of a transformer on the H100, 2.3 on the H200, and 5.0 times those of a CNN
  there (3.4 and 9.4 in the first run): 0.33 to 0.36 s a layer, as each is an
  audit. It counts for less with more samples, a larger model or fewer layers. Of the CNN's 2.3 s beside the passes, 0.7 are
  non-negative least squares and 0.3 decompositions.
* **A monitor** of three layers at every 100th step makes steps of 3.2 ms 1.5 times as long: a reading takes 0.2 s.
* **The suite** of 10,000 images × 19 corruptions × 5 severities takes 33 s, 29,000 images a second. About 1.5 s are corruptions; the
  rest is the encoder and the measures of each of 95 cells.
* **Corruptions** differ from the CPU's in at most 0.16 % of the values, by one grey level, given the same draws. **At 32 px** 1,024
  images a batch went through all 19 at 19,100 a second in the first run and 11,900 in the second. The host was slower, not the code:
  a launch took 9 to 18 µs and not 6 to 7, with as many launches and as long on the GPU (frost 393 and 390, 0.45 and 0.44 ms), and a
  bare training step took 3.2 ms and not 1.8. Such batches are too small for this card: 10,000 at once go through at 34,500 a second
  (row suite). Spatter alone launches more than before, 505 for 390. **At 224 px**, where the GPU is busy, 885 became 1,100.
* **Small matrices**, 33 to 128 columns, are decomposed one after the other by cuSOLVER. A stack of them goes to the CPU's cores (row
  eigen-small), which makes it 3 times faster than the floor. `svdvals` by the driver gesvda takes 2 to 3 ms for 1,000 of 33 or 64
  columns; it approximates, and its errors were not measured, so it is not used.
* **Students in float32 and bfloat16** (row students-agreement, three seeds, width 1, a random teacher): effective ranks differ by
  at most 1.6 %, captured variance by 0.004. Embeddings of the test images have a mean cosine of .994 (cosine) and .988 (with InfoNCE)
  to those in float32. The CPU's float32 agrees to .999 and .994.
* **A step of training** is replayed from a CUDA graph. At 32 px it takes 0.11 to 0.29 of a bare step, which is launches alone; at
  224 px, where the card is busy, 1.02 to 1.06. The replayed students are the same to the last digit shown. Without the graph a step
  takes 1.01 to 1.25 of the bare one.
* **Three seeds stepped together** by `torch.func` take 0.85 of the time of one by one at 32 px. A graph takes less, so seeds are
  stepped one by one.
"""


def grid(rows: dict[str, Any]) -> str:
    """How long the students of the paper's preset would take, by the rates of the row `distillation`, for the preset as it is now; empty without them."""
    # Here and not above: the command that measures runs in a bare checkout, where only its children find the examples.
    from benchmarks.gpu.distilling import hours
    from repgeom_examples.distillation.settings.presets import PRESETS

    row = rows.get("distillation", {})
    try:
        float32, bfloat16 = (hours(PRESETS["paper"], row["numbers"], name) for name in ("float32", "bfloat16"))
    except KeyError:
        return ""
    return (
        "* **The grid of distillation** at 224 px: by the rates of the row distillation, students of `--preset paper` would take "
        f"{float32:.1f} hours\n  on {row.get('card', 'this processor')} in float32 and {bfloat16:.1f} in bfloat16, without their "
        "teachers.\n"
    )


def page(results: dict[str, Any]) -> str:
    """The whole page."""
    rows = results["rows"]
    parts = [HEAD, *sorted({_where(row) for row in rows.values() if "card" in row}), ""]
    bars = [[name, bar["what"], shown(bar["value"]), limit(bar), verdict(bar)] for name, row in rows.items() for bar in row.get("bars", [])]  # fmt: skip
    parts += ["## Bars", "", markdown(["row", "what", "measured", "bar", "held"], bars), FINDINGS + grid(rows)]
    for name, row in rows.items():
        parts += [f"## {name}", "", _ending(row)]
        numbers = [[what, in_a_cell(value)] for what, value in row.get("numbers", {}).items() if in_a_cell(value)]
        if numbers:
            parts.append(markdown(["what", "measured"], numbers))
    return "\n".join(parts)


def _where(row: dict[str, Any]) -> str:
    torch = f"CUDA {row['about'].get('cuda')}"
    return f"* {row['date']}, commit {row['commit']}: {row['card']}; {row['processor']}, {row['about'].get('threads')} threads; {torch}, {listed(row['versions'])}"


def _ending(row: dict[str, Any]) -> str:
    parts = []
    if "date" in row:
        parts.append(f"{row['date']}, commit {row['commit']}")
    if row["ended"] != "measured":
        why = row.get("why", "").strip().splitlines()
        parts.append(f"{row['ended']}: {why[-1] if why else ''}")
    return "; ".join(parts) + "\n"


def in_a_cell(value: Any) -> str:
    """A number as a cell of a table, or several by name; empty for profiles and long text, which are in gpu.json."""
    if isinstance(value, list) or (isinstance(value, str) and "\n" in value):
        return ""
    if not isinstance(value, dict):
        return shown(value)
    if any(isinstance(part, (dict, list)) for part in value.values()):
        return ""
    numbers = [f"{name}: {shown(part)}" for name, part in value.items() if not isinstance(part, str)]
    return "; ".join(numbers) or _names(value)


def _names(failures: dict[str, str]) -> str:
    """Of tests that failed, what tells them apart."""
    return ", ".join(name.rpartition("[")[2].rstrip("]") for name in failures)


def shown(value: Any) -> str:
    """Three digits of a small float, and all before the point of a large one; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if 1e3 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    if value and not 1e-3 <= abs(value) < 1e3:
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
