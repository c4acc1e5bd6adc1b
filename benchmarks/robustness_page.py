"""The page of corruptions, probes and robustness tables: `python -m benchmarks robustness`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from benchmarks import files
from benchmarks.page import Bar, Row, bars, markdown, say, setting

FULL = {"images": {32: 512, 224: 32}, "probe": (50_000, 512), "suite": 10_000, "replicates": 100}
QUICK = {"images": {32: 64, 224: 4}, "probe": (2_000, 32), "suite": 200, "replicates": 4}
INTRODUCTION = """\
# Corruptions and probes

    python -m benchmarks robustness{quick} --runs {runs}

Needs `pip install imagecorruptions` beside repgeom for the comparison with it. Both run on the same cores, in turns in one
process; times are medians of {runs} runs after a warm-up (the probe: one run). imagecorruptions is as shipped, with three of its calls replaced
so that it runs with current libraries (tests/corruptions/incumbent.py). It works image by image and knows ImageNet strengths only, so
both use those, at severity 3. Where its ratio is below 1, it is the faster one.

"""
FIDELITY = """
## Fidelity

Against a slow NumPy and SciPy reference written from the published tables (tests/corruptions/corruption_reference.py), with its draws
replayed, over scikit-learn's two photographs and severities 1 to 5: largest difference in grey levels of 255, smallest
share of equal values, smallest PSNR. Differences of 1 are ties at whole grey levels, which the published cut to 8 bits
sends either way. Frost here takes stand-in photographs. Look at both side by side:
`python -m benchmarks.corruption_sheets FOLDER`.

"""


def measured(*args: Any) -> Any:
    return files.child(sys.executable, "-m", "benchmarks.robustness", *map(str, args))


def report(args: argparse.Namespace, folder: Path) -> str:
    sizes: dict[str, Any] = QUICK if args.quick else FULL
    about = measured("about")
    text = INTRODUCTION.format(quick=" --quick" * args.quick, runs=args.runs) + setting(about)
    promises = []
    for size, n in sizes["images"].items():
        for device in ["cpu", *(["cuda"] if about["gpu"] else [])]:
            say(f"{size} px, {device}")
            rows = measured("speed", size, n if device == "cpu" else 16 * n, args.runs, device)
            text += speed_table(rows, size, device)
            promises += speed_bars(rows, size, device)
    if not about["gpu"]:
        text += "\nGPU: no GPU at hand: not measured.\n"
    say("fidelity")
    text += FIDELITY + fidelity_table({size: measured("fidelity", size) for size in (32, 224)})
    say("probe")
    text += probe_part(measured("probe", *sizes["probe"], max(1, args.runs // 4)), *sizes["probe"], promises)
    say("suite")
    text += suite_part(measured("suite", sizes["suite"]), sizes["suite"], promises)
    say("coverage")
    text += coverage_part(measured("coverage", sizes["replicates"]), sizes["replicates"])
    remark = "These sizes are small: the bars do not apply to them.\n\n" if args.quick else ""
    return text + bars(promises, remark)


def speed_table(rows: dict[str, Row], size: int, device: str) -> str:
    lines = [
        [name, per_second(row["repgeom"]), per_second(row.get("imagecorruptions")), ratio(row)]
        for name, row in (rows | {"all": total(rows)}).items()
    ]
    head = ["corruption", "repgeom, images/s", "imagecorruptions, images/s", "ratio"]
    return f"\n## {size} px on the {'GPU' if device == 'cuda' else 'CPU'}\n\n" + markdown(head, lines)


def total(rows: dict[str, Row]) -> Row:
    """Seconds for one image under every corruption."""
    tools = {tool for row in rows.values() for tool in row}
    return {tool: sum(row[tool] for row in rows.values()) for tool in tools}


def per_second(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1 / seconds:,.4g}"


def ratio(row: Row) -> str:
    return f"{row['imagecorruptions'] / row['repgeom']:.1f}" if "imagecorruptions" in row else "-"


def speed_bars(rows: dict[str, Row], size: int, device: str) -> list[Bar]:
    whole, glass = total(rows), rows["glass_blur"]
    if "imagecorruptions" not in whole:
        return []
    limit = 500 if device == "cuda" else 10
    where = f"at {size} px on the {'GPU' if device == 'cuda' else 'CPU'}"
    found = [
        Bar(
            f"The family {where}: at least {limit}x imagecorruptions' images per second",
            whole["imagecorruptions"] / whole["repgeom"],
            limit,
            True,
        )
    ]
    if size == 224 and device == "cpu":
        times = glass["imagecorruptions"] / glass["repgeom"]
        found.append(Bar(f"Glass blur {where}: at least 100x", times, 100, True))
    return found


def fidelity_table(found: dict[int, dict[str, Row]]) -> str:
    head = ["corruption", *(f"{size} px, {what}" for size in found for what in ("most", "equal", "PSNR, dB"))]
    lines = []
    for name in found[32]:
        cells = [name]
        for rows in found.values():
            row = rows[name]
            cells += [f"{row['most']:.0f}", f"{row['equal']:.2%}", "∞" if row["psnr"] > 140 else f"{row['psnr']:.1f}"]
        lines.append(cells)
    return markdown(head, lines)


def probe_part(found: dict[str, Row], n: int, d: int, promises: list[Bar]) -> str:
    ours, theirs = found["repgeom"], found["scikit-learn"]
    promises += [
        Bar("The probe: at least 5x faster than scikit-learn", theirs["seconds"] / ours["seconds"], 5, True),
        Bar("The probe's objective is within 1e-6 of the optimum at every strength", ours["error"], 1e-6, False, ""),
    ]
    lines = [
        [name, f"{row['seconds']:.3g}", f"{row['seconds'] / ours['seconds']:.2f}", f"{row['error']:.0e}"]
        for name, row in (("repgeom, 20 strengths in one solve", ours), ("scikit-learn, lbfgs, one by one", theirs))
    ]
    head = ["what", "seconds", "ratio", "largest relative excess of the objective"]
    return (
        f"\n## Linear probe: 20 strengths from 1e-5 to 1e4, {n:,} x {d} float32, 10 classes\n\n"
        + markdown(head, lines)
        + "\nscikit-learn at its default tolerance stops earlier where the penalty is weak. The optimum is repgeom's own solver\n"
        "in float64, run to 1e-10; tests/test_probes.py holds it against scikit-learn's at a tolerance to match.\n"
    )


def suite_part(found: Row, n: int, promises: list[Bar]) -> str:
    promises.append(Bar(f"19 x 5 over {n:,} images of 32 px stays under 2 GB", found["memory"] / 1e9, 2, False, " GB"))
    return (
        f"\n## `corruption_robustness` over {n:,} images of 32 px\n\n{found['cells']} cells, every measure but those of a linear "
        f"probe, small convolutional encoder: {found['seconds']:.0f} s, peak memory of the process {found['memory'] / 1e6:,.0f} MB.\n"
    )


def coverage_part(found: list[Row], replicates: int) -> str:
    settings = ("width", "spectrum", "samples per feature")
    head = ["measure", *(f"{row['width']} wide, {row['spectrum']}, {row['samples per feature']} n/d" for row in found)]
    lines = [[name, *(f"{row[name]:.2f}" for row in found)] for name in found[0] if name not in settings]
    return (
        f"\n## Do intervals of 95 % hold?\n\nShare of {replicates} samples whose interval holds the value of 50,000 rows (of "
        "the last three, which depend on the number of rows, the mean of all samples). Normal rows whose variances fall "
        "as given; n/d is samples per feature.\n\n" + markdown(head, lines)
    )
