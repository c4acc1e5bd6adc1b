"""The ratios that the last run reached, kept in stored.json, and what has become slower since."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.answer import Answer
from benchmarks.page import HERE

STORED = HERE / "stored.json"
SLOWER = 1.5  # a ratio that grew by more than this is a regression: noise stays below it
RED = "\033[31m{}\033[0m"

Ratios = dict[str, float]  # times the floor by the answer's key: higher is worse


def ratios(answers: list[Answer]) -> Ratios:
    return {answer.key: answer.ratio for answer in answers if answer.ratio is not None}


def read(mode: str, path: Path = STORED) -> Ratios:
    if not path.exists():
        return {}
    return json.loads(path.read_text()).get(mode, {})


def write(mode: str, found: Ratios, path: Path = STORED) -> None:
    """Rows that this run did not have (no GPU, no rival) stay as they are."""
    stored = {}
    if path.exists():
        stored = json.loads(path.read_text())
    stored[mode] = stored.get(mode, {}) | {name: round(ratio, 3) for name, ratio in found.items()}
    path.write_text(json.dumps(stored, indent=2, ensure_ascii=False) + "\n")


def slower(found: Ratios, before: Ratios) -> dict[str, tuple[float, float]]:
    """Ratios before and now of what became slower. Rows that only one of the two has are passed over."""
    return {n: (before[n], now) for n, now in found.items() if n in before and now > SLOWER * before[n]}


def sentence(name: str, before: float, now: float) -> str:
    return RED.format(f"Slower: {name}: {now:.3g} times the floor, stored {before:.3g} ({now / before:.2f} times it).")
