"""The promises of the speed page, read off its table."""

from __future__ import annotations

from benchmarks.page import ERROR_BAR, Bar, Row
from benchmarks.stored import Tables

SPECTRUM, RANK = "repgeom.spectrum", "repgeom.effective_rank"
SVDVALS, SVD = "torch.linalg.svdvals, centred", "torch.linalg.svd, centred"


def bars(tables: Tables) -> list[Bar]:
    found = []
    for title, rows in tables.items():
        if title.startswith("GPU"):
            found += gpu_bars(title, rows)
        elif "σ" in title:
            found += [floor_bar(SPECTRUM, title, rows), *svd_bars(title, rows)]
        elif title.startswith("audit of a file"):
            found.append(floor_bar("repgeom.audit, in this process", title, rows))
        elif title.startswith("stack"):
            times = seconds(rows, f"loop over {SVDVALS}") / seconds(rows, RANK)
            found.append(Bar(f"{title}: at least 20x the loop over torch.linalg.svdvals", times, 20, True))
        elif title.startswith("start"):
            share = seconds(rows, "repgeom audit") / seconds(rows, "floor")
            found.append(Bar('An audit of 1,000 x 64 takes at most 1.3x `python -c "import torch"`', share, 1.3, False))
        elif "spectralyte audit, once" in rows:
            share = seconds(rows, "repgeom audit") / seconds(rows, "spectralyte audit, once")
            found.append(Bar("A whole audit takes at most a fifth of spectralyte's time", share, 0.2, False))
        elif title.startswith("whole process, once"):
            peak = max(row["memory"] for name, row in rows.items() if name.startswith("repgeom")) / 1e9
            found.append(Bar(f"{title}: every audit stays within 1 GB", peak, 1.0, False, " GB"))
    return [*found, error_bar(tables)]


def seconds(rows: dict[str, Row], name: str) -> float:
    return float(rows[name]["seconds"])


def floor_bar(name: str, title: str, rows: dict[str, Row]) -> Bar:
    return Bar(f"{name}, {title}: within 1.25x of the floor", seconds(rows, name) / seconds(rows, "floor"), 1.25, False)


def svd_bars(title: str, rows: dict[str, Row]) -> list[Bar]:
    limits = {SVD: 8, SVDVALS: 3}
    return [
        Bar(f"{own}, {title}: at least {limit}x {rival}", seconds(rows, rival) / seconds(rows, own), limit, True)
        for own in (RANK, SPECTRUM)
        for rival, limit in limits.items()
        if rival in rows
    ]


def gpu_bars(title: str, rows: dict[str, Row]) -> list[Bar]:
    if RANK not in rows:
        return []
    own = seconds(rows, RANK)
    return [
        Bar(f"{RANK}, {title}: at least 20x {SVDVALS}", seconds(rows, SVDVALS) / own, 20, True),
        Bar(f"{RANK}, {title}: at least 60 % of the floor", seconds(rows, "floor") / own, 0.6, True),
    ]


def error_bar(tables: Tables) -> Bar:
    every = [row for rows in tables.values() for name, row in rows.items() if name.startswith("repgeom")]
    worst = max(row["error"] for row in every if "error" in row and "interval" not in row)
    return Bar(
        "Every exact answer is within 1e-6 of the truth; the largest relative error", worst, ERROR_BAR, False, ""
    )
