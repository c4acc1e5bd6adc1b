"""Students of one's own, by the name of a function."""

import pytest

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.settings import configs, grid

from ..small_runs import arguments, configured, contents, one_line

OUTSIDE = """
from torch import nn

def flat(width, out):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, out))

def narrow(width, out):
    return flat(width, out - 1)

def large(width, out):
    return nn.Sequential(nn.Flatten(), nn.Linear(9, out))

def nothing(width, out):
    return 3

class Pair(nn.Module):
    def forward(self, x):
        return x, x

def pair(width, out):
    return Pair()

def key(width, out):
    return {}["a"]
"""


@pytest.fixture
def own(planted, tmp_path, monkeypatch):
    (tmp_path / "own_students.py").write_text(OUTSIDE)
    (tmp_path / "broken_students.py").write_text("1 / 0\n")
    (tmp_path / "unread_students.py").write_text("def\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_student_of_ones_own_takes_the_place_of_the_papers(own, tmp_path):
    out = tmp_path / "out" / "small"
    assert cli.main(arguments(out, "--student", "own_students:flat", "--seeds", "1", "--student-input", "native")) == 0
    found = contents(out)
    assert {record["status"] for record, _ in found.values()} == {"done"}
    names = {name for name in found if "flat" in name}
    assert {"make-digits--flat-w1-cosine-s1", "make-digits--flat-w2-cosine-augmented-s1"} < names
    assert not any("--cnn-" in name for name in found)
    assert found["make-digits--flat-w1-cosine-s1"][0]["n_parameters"] == 3 * 32 * 32 * 24 + 24
    config = configs.Config.from_dict(stored.load(out / "run").record["config"])
    assert {cell.name for cell in grid.cells_of(config)} == set(found)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "own_students:nowhere",
            "student 'own_students:nowhere' cannot be found: module 'own_students' has no attribute",
        ),
        ("no_such_module:make", "student 'no_such_module:make' cannot be found: No module named 'no_such_module'"),
        (":make", "student ':make' cannot be found: Empty module name"),
        ("own_students:narrow", "must give embeddings of shape (1, 24), it gave (1, 23)"),
        ("own_students:large", "fails on images of shape (1, 3, 32, 32): RuntimeError: mat1 and mat2 shapes cannot be"),
        ("own_students:pair", "must give a tensor of embeddings, it gave tuple"),
        ("own_students:key", "fails for width 1: KeyError: 'a' (own_students.py, line "),
        (
            "broken_students:make",
            "cannot be imported: ZeroDivisionError: division by zero (broken_students.py, line 1)",
        ),
        ("unread_students:make", "cannot be imported: SyntaxError: "),
        ("own_students:nothing", "must return a torch.nn.Module, it returned int"),
        ("residual2", "unknown architecture 'residual2'; there are cnn, no-bottleneck"),
        ("global-pool", "architectures (the grid itself is of global-pool): global-pool is there twice"),
    ],
)
def test_a_student_that_cannot_be_used_is_named_in_one_line(name, message, own, tmp_path, capsys):
    assert cli.main(arguments(tmp_path / "out" / "small", "--student", name, "--student-input", "native")) == 2
    assert message in one_line(capsys)


def test_a_student_may_be_any_architecture():
    config = configured("--student", "cnn-2M", "--preset", "quick")
    assert {cell.architecture for cell in grid.cells_of(config)} == {"cnn", "cnn-2M"}
