"""Whole runs of a small grid on a planted teacher."""

import dataclasses
import json
import math
import os
import shutil

import numpy as np
import pytest
import torch
from conftest import oracle
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import nn

from repgeom_examples.distillation import cli, stored
from repgeom_examples.distillation.running import costs, preparing, run
from repgeom_examples.distillation.settings import configs, grid
from repgeom_examples.distillation.students import networks

from ..slow_objectives import slow_infonce
from ..small_runs import GRID, N_CELLS, arguments, configured, contents


def test_a_whole_run_has_every_cell_once(whole, capsys):
    found = contents(whole)
    assert len(found) == N_CELLS
    config = configs.Config.from_dict(stored.load(whole / "run").record["config"])
    assert set(found) == {c.name for c in grid.cells_of(config)}
    for name, (record, arrays) in found.items():
        assert record["status"] == "done", name
        assert record["setting"]["n_train"] == 70
        assert 1 <= record["effective_rank"] <= record["effective_rank_sigma"] <= 24
        assert all(len(a) == 64 for a in arrays.values())
        correct = {k: a.double().mean().item() for k, a in arrays.items() if k.startswith("accuracy")}
        assert correct == {k: v for k, v in record.items() if k.startswith("accuracy")}
        assert len(correct) == 9
    assert found["make-digits--teacher"][0]["captured"] > 0.5
    assert cli.main(["status", str(whole)]) == 0
    assert f"{N_CELLS} of {N_CELLS} cells done, 0 failed, 0 remain" in capsys.readouterr().out


def test_the_curve_of_a_student_ends_in_what_is_measured_of_it(whole):
    """All 64 images to test on are read, so that the last reading is the record's own number."""
    for name, (record, _) in contents(whole).items():
        if name == "make-digits--teacher":
            assert "curve" not in record
            continue
        assert record["precision"] == "float32"
        readings = record["curve"]
        assert [reading["step"] for reading in readings] == [0, 4]  # two epochs of two steps; the first ends too soon
        for key in ("effective_rank", "captured"):
            assert readings[-1][key] == pytest.approx(record[key], rel=1e-5), name
            assert readings[0][key] != pytest.approx(record[key], rel=1e-3)


def test_a_finished_run_is_only_read(copied, whole, monkeypatch, capsys):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (copied / "cells").iterdir() if p.is_file()}
    shutil.rmtree(copied.parent / "cache")
    monkeypatch.setattr(run, "prepare", None)  # neither images nor teacher are needed
    assert cli.main(arguments(copied)) == 0
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before
    out, err = capsys.readouterr()
    assert "Claims of arXiv 2603.06698" in out
    assert err == ""


def test_a_student_of_the_grid_by_a_plain_loop(whole, planted):
    """Trained and measured here without the package's training or measuring."""
    import planted_teachers

    from repgeom_examples.distillation.data.load import load_dataset

    data, teacher = (
        load_dataset(configs.Setting("", "digits", n_train=70, n_test=64)),
        planted_teachers.make(None, "cpu"),
    )
    train, test = (nn.functional.interpolate(x.pixels.float(), (16, 16), mode="bicubic", antialias=True) for x in (data.train, data.test))  # fmt: skip
    train, test = (((x.round().clamp(0, 255) / 255) - 0.5) / 0.25 for x in (train, test))
    target, student = teacher.encode(train), networks.make_student("cnn", 2, 24, 1)
    optimizer, generator = torch.optim.Adam(student.parameters(), 1e-3), torch.Generator().manual_seed(1)
    for _ in range(2):
        for rows in torch.randperm(70, generator=generator)[:64].split(32):
            optimizer.zero_grad()
            (1 - nn.functional.cosine_similarity(student(train[rows]), target[rows])).mean().backward()
            optimizer.step()
    student.eval()
    with torch.no_grad():
        units, shown = (nn.functional.normalize(student(x).double()).numpy() for x in (test, train))
    record, _ = contents(whole)["make-digits--cnn-w2-cosine-s1"]
    expected = oracle(units)
    # A bias before batch norm has no gradient but rounding's, of which Adam makes whole steps: hence 1 %.
    assert record["effective_rank"] == pytest.approx(expected["effective_rank"], rel=1e-2)
    assert record["effective_rank_sigma"] == pytest.approx(expected["effective_rank_sigma"], rel=1e-2)
    teachers = nn.functional.normalize(teacher.encode(test).double()).numpy()
    assert record["cosine"] == pytest.approx((units * teachers).sum(1).mean(), rel=1e-2)
    assert record["infonce"] == pytest.approx(slow_infonce(units.tolist(), teachers.tolist(), 0.1), rel=1e-2)
    squares = 2 - 2 * units @ units.T
    assert record["uniformity"] == pytest.approx(math.log(np.exp(-2 * squares).mean()), rel=1e-2)
    _, _, directions = np.linalg.svd(teachers - teachers.mean(0), full_matrices=False)
    centred = units - units.mean(0)
    inside = np.square(centred @ directions[:20].T).sum() / np.square(centred).sum()
    assert record["captured"] == pytest.approx(inside, rel=1e-2)
    probe = LogisticRegression(C=1, tol=1e-8, max_iter=5000).fit(shown, data.train.labels)
    assert record["accuracy"] == pytest.approx(probe.score(units, data.test.labels), abs=1.5 / 64)


def test_the_bar_moves_by_what_a_cell_costs(planted, tmp_path, monkeypatch):
    config = dataclasses.replace(configured("--teacher", "planted_teachers:make", *GRID), seeds=(1,))
    place = preparing.Place(tmp_path / "out", tmp_path / "cache", torch.device("cpu"), bar=False)
    prepared = preparing.prepare(config.settings[0], config, place)
    for cell in grid.cells_of(config):
        moved = []
        run._run_cell(cell, prepared, config, place, moved.append)
        assert sum(moved) == pytest.approx(costs.cost(cell, prepared, config), rel=1e-12), cell.name


def test_arrays_lie_beside_their_record_in_a_common_format(whole):
    path = whole / "cells" / "make-digits--teacher.safetensors"
    record = json.loads((whole / "cells" / "make-digits--teacher.json").read_text())
    assert load_file(path).keys() == stored.load(path.with_name("make-digits--teacher")).arrays.keys()
    assert record["record"]["cell"]["kind"] == "teacher"


def test_the_log_says_what_each_process_did(copied):
    lines = [json.loads(line) for line in (copied / "log.jsonl").read_text().splitlines()]
    assert [(line["what"], line["name"]) for line in lines[:2]] == [
        ("prepared", "make-digits"),
        ("done", "make-digits--teacher"),
    ]
    assert {line["name"] for line in lines[1:]} == set(contents(copied))
    assert {line["process"] for line in lines} == {os.getpid()}
    for line in lines[1:]:
        # The log's includes the writing of the record.
        seconds = stored.load(copied / "cells" / line["name"]).record["seconds"]
        assert seconds <= line["seconds"] < seconds + 5
        assert 0 < line["cpu_seconds"] < 10 * line["seconds"]
        assert 50 < line["peak_mb"] < 50_000
    removed = copied / "cells" / "make-digits--cnn-w1-cosine-s1.json"
    removed.unlink()
    assert cli.main(arguments(copied)) == 0
    again = (copied / "log.jsonl").read_text().splitlines()
    assert len(again) == len(lines) + 2
    assert json.loads(again[-1])["name"] == removed.stem
