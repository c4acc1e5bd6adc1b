"""All verdicts at one glance: a row for each claim, a column for each setting. Used by the terminal, Markdown and the page."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from repgeom.terminal import Column, Screen, table_lines

from ..claims.verdicts import CONTRADICTED, DOES_NOT_APPLY, NOT_RUN, SUPPORTED, UNDECIDED, Claim, Entry
from ..settings.configs import Setting

NO_TEST = "–"  # a claim that has no test in a setting
# What a terminal and the page colour a verdict with.
KINDS = {SUPPORTED: "ok", UNDECIDED: "warn", CONTRADICTED: "fail", DOES_NOT_APPLY: "soft", NOT_RUN: "soft"}
# Where a line has no room for the words.
BRIEF = {SUPPORTED: "yes", CONTRADICTED: "no", UNDECIDED: "open", DOES_NOT_APPLY: "n/a", NOT_RUN: "none"}
GAP = 2  # cells between columns
NAME = 30  # cells that are left of a claim's name before verdicts are shortened
OURS = "our own questions:"


@dataclasses.dataclass(frozen=True)
class ClaimRow:
    """A claim and its entry in each setting, None where it has no test there."""

    claim: Claim
    entries: list[Entry | None]

    @property
    def name(self) -> str:
        """Number and a few words."""
        return f"{self.claim.number}. {self.claim.short or self.claim.text}"

    @property
    def verdicts(self) -> list[str]:
        """In the order of settings."""
        return [NO_TEST if entry is None else entry.verdict for entry in self.entries]


def claim_rows(entries: Sequence[Entry], settings: Sequence[Setting]) -> list[ClaimRow]:
    """The paper's claims in their order, then our own questions."""
    claims: dict[tuple[bool, int], Claim] = {}
    found: dict[tuple[bool, int, str], Entry] = {}
    for entry in entries:
        claims[entry.ours, entry.claim.number] = entry.claim
        found[entry.ours, entry.claim.number, entry.setting.name] = entry
    return [ClaimRow(claims[key], [found.get((*key, setting.name)) for setting in settings]) for key in sorted(claims)]


def letters(settings: Sequence[Setting]) -> dict[str, str]:
    """A letter for each setting, by its name; numbers where there are more settings than letters."""
    if len(settings) > 26:
        return {setting.name: str(number) for number, setting in enumerate(settings, 1)}
    return {setting.name: chr(ord("A") + place) for place, setting in enumerate(settings)}


def matrix_lines(entries: Sequence[Entry], settings: Sequence[Setting], screen: Screen) -> list[str]:
    """The matrix for a terminal, with words where they fit and their short forms where they do not."""
    rows = claim_rows(entries, settings)
    heads = list(letters(settings).values())
    words = _words_that_fit(rows, screen)
    shown = [[words.get(verdict, verdict) for verdict in row.verdicts] for row in rows]
    names = Column("", [screen.shown(row.name) for row in rows], left=True, fewest=8)
    verdicts = [Column(head, [row[place] for row in shown], left=True) for place, head in enumerate(heads)]
    table = table_lines([names, *verdicts], screen)
    if table is None:
        return [line for row in rows for line in _listed(row, heads, screen)]
    colours = {word: KINDS[verdict] for verdict, word in words.items()}
    lines = [table[0]]
    for line, row, its_words in zip(table[1:], rows, shown, strict=True):
        if row.claim.ours and OURS not in lines:
            lines.append(OURS)
        lines.append(_coloured(line, its_words, colours, screen))
    if words is BRIEF:
        lines += screen.sentence(", ".join(f"{word}: {verdict}" for verdict, word in BRIEF.items()))
    return lines


def _words_that_fit(rows: Sequence[ClaimRow], screen: Screen) -> dict[str, str]:
    """What stands for each verdict: the word itself where a line has room for all columns, else its short form."""
    columns = zip(*(row.verdicts for row in rows), strict=True)
    taken = sum(max(map(len, column)) + GAP for column in columns)
    longest_name = max(len(row.name) for row in rows)
    if min(longest_name, NAME) + taken > screen.width:
        return BRIEF
    return {verdict: verdict for verdict in KINDS}


def _coloured(line: str, words: Sequence[str], kinds: dict[str, str], screen: Screen) -> str:
    """A line of the table with each of its verdicts in its colour, from the right so that places stay."""
    end = len(line)
    for word in reversed(words):
        start = line.rindex(word, 0, end)
        end = start
        line = line[:start] + screen.coloured(word, kinds.get(word, ""), word) + line[start + len(word) :]
    return line


def _listed(row: ClaimRow, heads: Sequence[str], screen: Screen) -> list[str]:
    """A claim and its verdicts one below the other, for a terminal with no room for a table."""
    verdicts = ", ".join(f"{head} {verdict}" for head, verdict in zip(heads, row.verdicts, strict=True))
    return screen.sentence(f"{row.name}: {verdicts}", further="  ")


def matrix_table(entries: Sequence[Entry], settings: Sequence[Setting]) -> list[list[str]]:
    """The matrix as rows of text below a header, for Markdown."""
    heads = [f"{letter}: {name}" for name, letter in letters(settings).items()]
    rows = []
    for row in claim_rows(entries, settings):
        name = row.name
        if row.claim.ours:
            name += " (ours)"
        rows.append([name, *row.verdicts])
    return [["claim", *heads], *rows]
