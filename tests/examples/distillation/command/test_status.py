"""How far a run has come."""

import re
import shutil

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.command import status
from repgeom_examples.distillation.running import costs
from repgeom_examples.distillation.settings import configs, grid

from ..small_runs import N_CELLS, loaded


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
    for path in (copied / "cells").glob("*.json"):
        record, arrays = loaded(path)
        seconds = 60.0 * {1: 10, 2: 40}.get(record["cell"]["width"], 1)
        stored.save(path.with_name(path.name.removesuffix(".json")), {**record, "seconds": seconds}, arrays)
    for name in ("cnn-w2-cosine-s2", "cnn-w1-cosine-s2", "cnn-w1-cosine+infonce-s2"):
        (copied / "cells" / f"make-digits--{name}.json").unlink()
    assert "about 60 minutes of one process remain" in status.text(copied)


def test_work_that_is_done_and_remains_adds_up_to_the_runs(copied):
    config = configs.Config.from_dict(stored.load(copied / "run").record["config"])
    cells = grid.cells_of(config)
    about = stored.load(copied / "cells" / cells[0].name).record
    sizes = costs.Sizes(70, 64, 16, 24, about["flops_per_image"])
    assert about["setting"]["student_side"] == 16
    works = {cell: costs.work(cell, config, sizes) for cell in cells}
    removed = cells[3]
    (copied / "cells" / f"{removed.name}.json").unlink()
    seconds = sum(loaded(p)[0]["seconds"] for p in (copied / "cells").glob("*.json"))
    done = sum(works.values()) - works[removed]
    shown = status.text(copied)
    assert (
        f"{status.flop(done)} done, {status.flop(works[removed])} remain; {status.flop(done / seconds)} a sec" in shown
    )


def test_a_student_that_trains_for_longer_takes_longer():
    setting = configs.Setting("clip", "digits", variants=("cosine@epochs=100",), student_input="native")
    config = configs.Config("x", (setting,), widths=(1,), objectives=("cosine",), seeds=(1,))
    teacher, short, long = grid.cells_of(config)
    about = {"n_train": 1_198, "n_test": 599, "student_side": 32, "width": 512}
    done = {
        teacher: stored.Stored({"status": "done", "seconds": 9.0, "flops_per_image": 8e9, "setting": about}, {}),
        short: stored.Stored({"status": "done", "seconds": 600.0, "setting": about}, {}),
    }
    sizes = costs.Sizes(1_198, 599, 32, 512, 8e9)
    ratio = costs.work(long, config, sizes) / costs.work(short, config, sizes)
    assert 10 < ratio < 20
    assert f"about {10 * ratio / 60:.1f} hours of one process remain" in status._outlook(config, done, [long])[1]


def test_many_that_remain_are_not_all_named(copied):
    saved = stored.load(copied / "run")
    more = {**saved.record["config"], "seeds": list(range(100, 200))}
    stored.save(copied / "run", {**saved.record, "config": more})
    shown = status.text(copied)
    n = 1 + 100 * 8 + 3
    assert f"0 of {n} cells done, 0 failed, {n} remain" in shown
    assert shown.count("  remains ") == status.LISTED
    assert f"  and {n - status.LISTED} more" in shown


def test_operations_are_said_with_their_unit():
    assert [status.flop(n) for n in (1.234e15, 5e12, 9.99e9, 1.5e6, 0)] == [
        "1.23 PFLOP",
        "5 TFLOP",
        "9.99 GFLOP",
        "1.5 MFLOP",
        "0 MFLOP",
    ]
