"""The faults that `python -m tests.mutate` plants: each kind once, and nothing in texts, annotations and messages."""

import ast

import mutate
import pytest
from faults import faults_of

SOURCE = b'''"""A bound of 0.5."""

LIMIT = 0.5


def clipped(x: int = 3, center: bool = True) -> float:
    """At most 3."""
    if not center and x < 2:
        raise ValueError(f"got {x + 1}, at most {max(2, 3)}")
    x += 1
    for \xcf\x83 in range(x):
        x = min(x, 7) ** 2  # \xc2\xb1 1
    return -x
'''


def shown():
    return {f.shown(SOURCE) for f in faults_of(SOURCE)}


@pytest.mark.parametrize(
    "line",
    [
        "LIMIT = 0.55", "LIMIT = 0.45", "def clipped(x: int = 4, center: bool = True) -> float:",
        "def clipped(x: int = 3, center: bool = False) -> float:", "if not center and x <= 2:", "if not center and x >= 2:",
        "if not center or x < 2:", "if center and x < 2:", "if not center and x < 1:", "pass", "x -= 1", "x += 2",
        "x = max(x, 7) ** 2  # ± 1", "x = (x) ** 2  # ± 1", "x = (7) ** 2  # ± 1", "x = min(x, 7) * 2  # ± 1", "return x",
    ],
)  # fmt: skip
def test_a_fault_of_each_kind_is_planted(line):
    assert line in shown()


def test_faulty_source_is_source_and_differs_in_one_statement():
    for fault in faults_of(SOURCE):
        planted = fault.planted(SOURCE)
        ast.parse(planted)
        assert sum(a != b for a, b in zip(SOURCE.splitlines(), planted.splitlines(), strict=True)) == 1


def test_texts_and_messages_are_left_alone():
    assert not any("got" in line or "At most" in line or "bound" in line for line in shown())


def test_a_fault_knows_the_lines_that_run_it():
    found = {f.shown(SOURCE): f.lines for f in faults_of(SOURCE)}
    assert found["LIMIT = 0.55"] == range(0)
    assert found["x += 2"] == range(10, 11)
    assert found["if center and x < 2:"] == range(8, 9)


def test_the_command_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit) as ended:
        mutate.main(["--help"])
    assert ended.value.code == 0
    assert "share in % that must be seen" in capsys.readouterr().out
