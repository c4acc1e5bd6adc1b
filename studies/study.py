"""What every study is: what it assumes, how large it runs, and the page that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.page import machine

HERE = Path(__file__).parent
Sizes = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """One question of validity.

    Attributes:
        name: of the command and of the page.
        title: heads the page.
        about: what is assumed and what is tried, in plain words.
        minutes: how long the whole study takes on two cores.
        sizes: of the whole study.
        tiny: sizes that show in seconds that the command works.
        tables: runs the study and gives the page's tables.
    """

    name: str
    title: str
    about: str
    minutes: int
    sizes: Sizes
    tiny: Sizes
    tables: Callable[[Sizes], str]

    def page(self, tiny: bool = False) -> str:
        """Run the study and describe the run above its tables."""
        tables = self.tables(self.tiny if tiny else self.sizes)
        return f"# {self.title}\n\n    {self.command(tiny)}\n\n{self.about}\n{machine()}\n{tables.strip()}\n"

    def command(self, tiny: bool = False) -> str:
        return f"python -m studies {self.name}" + " --tiny" * tiny

    @property
    def path(self) -> Path:
        return HERE / f"{self.name}.md"
