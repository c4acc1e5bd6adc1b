"""How far a run has come."""

import re
import shutil

from repgeom_examples.distillation import (
    cli,
    stored,
)

from .small_runs import N_CELLS, loaded


def test_status_of_a_run_that_has_begun(copied, capsys):
    for name in ("cnn-w2-cosine-s2", "cnn-w1-cosine-s2"):
        (copied / "cells" / f"make-digits--{name}.json").unlink()
    assert cli.main(["status", str(copied)]) == 0
    out = capsys.readouterr().out
    assert f"{N_CELLS - 2} of {N_CELLS} cells done, 0 failed, 2 remain" in out
    assert re.findall(r"remains (.*)", out) == [f"make-digits--cnn-w{w}-cosine-s2" for w in (1, 2)]
    assert re.search(r"about .* of one process remain", out)
    assert "1 minutes" not in out


def test_a_run_without_a_finished_cell_has_a_status_and_a_report(copied, capsys):
    shutil.rmtree(copied / "cells")
    assert cli.main(["status", str(copied)]) == 0
    out = capsys.readouterr().out
    assert f"0 of {N_CELLS} cells done, 0 failed, {N_CELLS} remain" in out
    assert "no student is finished yet" in out
    assert cli.main(["report", str(copied)]) == 0
    assert "nothing is finished yet" in capsys.readouterr().out


def test_time_that_is_left_is_that_of_like_cells(copied):
    from repgeom_examples.distillation import status

    for path in (copied / "cells").glob("*.json"):
        record, arrays = loaded(path)
        seconds = 60.0 * {1: 10, 2: 40}.get(record["cell"]["width"], 1)
        stored.save(path.with_name(path.name.removesuffix(".json")), {**record, "seconds": seconds}, arrays)
    for name in ("cnn-w2-cosine-s2", "cnn-w1-cosine-s2", "cnn-w1-cosine+infonce-s2"):
        (copied / "cells" / f"make-digits--{name}.json").unlink()
    assert "about 60 minutes of one process remain" in status.text(copied)
