"""Presets, the command line as settings, and the grid that they give."""

import dataclasses
import json

import pytest

from repgeom_examples.distillation import cli
from repgeom_examples.distillation.data.load import DATASETS
from repgeom_examples.distillation.settings import configs, grid, presets
from repgeom_examples.distillation.students import networks, objectives
from repgeom_examples.distillation.teachers.load import TEACHERS

from ..small_runs import configured


def test_presets_are_the_papers():
    names = ["packaged", "quick", "embedded", "paper-cifar10-clip", "paper-cifar100-dinov2", "paper"]
    assert list(presets.PRESETS) == names
    assert presets.PRESETS[presets.DEFAULT].name == presets.DEFAULT
    paper = presets.PRESETS["paper"]
    assert [(s.teacher, s.data) for s in paper.settings[:2]] == [("clip", "cifar10"), ("dinov2", "cifar100")]
    # Claim 4 compares teachers on the same images.
    assert {(s.teacher, s.data) for s in paper.settings[2:]} == {("clip", "cifar100"), ("dinov2", "cifar10")}
    assert (paper.widths, paper.seeds) == ((1, 2, 4), (42, 123, 456))
    assert paper.objectives == ("cosine", "cosine+infonce")
    assert (paper.training.epochs, paper.training.batch_size, paper.training.learning_rate) == (5, 64, 1e-3)
    assert paper.training.crop_padding * 32 == 4
    assert {0.05, 0.1, 0.2} <= set(paper.evaluation.sigmas)
    assert (paper.evaluation.probe_C, paper.evaluation.infonce_temperature, paper.evaluation.infonce_batch) == (
        1,
        0.1,
        64,
    )
    assert {(s.n_train, s.n_test, s.student_input) for s in paper.settings} == {(None, None, "teacher")}
    assert [s.name for s in paper.settings[:2]] == [
        presets.PRESETS[f"paper-{name}"].settings[0].name for name in ("cifar10-clip", "cifar100-dinov2")
    ]
    embedded = presets.PRESETS["embedded"]
    assert (len(embedded.settings), embedded.widths, embedded.seeds) == (2, paper.widths, paper.seeds)


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_config_comes_back_from_json(name):
    config = dataclasses.replace(presets.PRESETS[name], seeds=(7,))
    again = configs.Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert hash(again) == hash(config)  # lists have become tuples everywhere
    assert config.name == name


def test_cells_of_a_grid():
    wide = configs.Setting("clip", "cifar10", architectures=("residual", "global-pool"), augmented=True)
    config = configs.Config("x", (wide, configs.Setting("a.b:dino", "digits")), (2, 1), ("mse", "cosine"), (5, 3))
    cells = grid.cells_of(config)
    assert [c.name for c in cells[:3]] == [
        "clip-cifar10--teacher",
        "dino-digits--teacher",
        "clip-cifar10--cnn-w2-mse-s5",
    ]
    assert len(cells) == len({c.name for c in cells}) == 2 + 2 * (4 + 2 * 2 + 1) + 2 * 4
    assert [c.seed for c in cells[2:]] == [5] * 13 + [3] * 13
    beside = [c for c in cells if c.architecture != "cnn" or c.augmented]
    assert {(c.setting, c.architecture, c.width, c.objective, c.augmented) for c in beside} == {
        ("clip-cifar10", "residual", 1, "mse", False),
        ("clip-cifar10", "residual", 1, "cosine", False),
        ("clip-cifar10", "global-pool", 1, "mse", False),
        ("clip-cifar10", "global-pool", 1, "cosine", False),
        ("clip-cifar10", "cnn", 2, "cosine", True),
    }
    assert [c.objective for c in grid.cells_of(dataclasses.replace(config, objectives=("mse",))) if c.augmented] == [
        "mse"
    ] * 2


@pytest.mark.parametrize("grids", ["--seeds 1 1", "--widths 2 2", "--objectives cosine cosine"])
def test_a_cell_that_is_asked_for_twice_does_not_count_twice(grids):
    try:
        cells = grid.cells_of(configured("--teacher", "clip", "--data", "cifar10", *grids.split()))
    except ValueError:
        return
    assert len(cells) == len(set(cells))


@pytest.mark.parametrize("architectures", ["residual residual", "cnn"])
def test_an_architecture_beside_the_grid_does_not_count_twice(architectures):
    try:
        config = configured("--teacher", "clip", "--data", "cifar10", "--architectures", *architectures.split())
    except ValueError:
        return
    assert len(grid.cells_of(config)) == len(set(grid.cells_of(config)))


def test_the_command_line_becomes_a_config():
    line = (
        "--teacher clip --teacher-path there --data cifar10 --data-path here --widths 1 3 --objectives mse --seeds -4"
    )
    config = configured(*line.split(), "--epochs", "9", "--infonce-weight", "0.5", "--out", "runs/mine")
    assert config.settings == (configs.Setting("clip", "cifar10", "there", "here"),)
    assert (config.name, config.widths, config.objectives, config.seeds) == ("mine", (1, 3), ("mse",), (-4,))
    assert config.training == configs.Training(epochs=9, infonce_weight=0.5)
    assert configured() == presets.PRESETS[presets.DEFAULT]
    assert configured("--preset", "paper", "--out", "elsewhere") == presets.PRESETS["paper"]
    assert configured("--preset", "paper", "--data-path", "d").settings[1].data_path == "d"
    assert (
        configured("--preset", "embedded", "--teacher", "tiny-clip", "--data", "shapes100").settings[0].teacher_training
        == presets.TINY_CLIP
    )


def test_a_setting_of_ones_own_takes_nothing_of_a_preset_but_its_teachers_training():
    own = configured("--preset", "embedded", "--teacher", "tiny-dino", "--data", "digits")
    assert own.settings == (configs.Setting("tiny-dino", "digits", teacher_training=presets.TINY_DINO),)
    assert (own.seeds, own.training) == (presets.PUBLISHED.seeds, presets.PUBLISHED.training)
    # Where no preset is named, it is trained as published, whatever the default run does.
    alone = configured("--teacher", "clip", "--data", "cifar10")
    assert dataclasses.replace(alone, name="", settings=()) == presets.PUBLISHED
    named = configured("--preset", "packaged", "--teacher", "clip", "--data", "cifar10")
    assert (named.training, named.more_seeds) == (presets.PACKAGED.training, presets.PACKAGED.more_seeds)


def test_what_is_asked_for_goes_into_every_setting_and_before_what_single_settings_say():
    packaged = ("--preset", "packaged", "--variants", "mse")
    config = configured(*packaged, "--n-train", "500")
    assert {(s.n_train, s.variants) for s in config.settings} == {(500, ("mse",))}
    assert {s.widths for s in configured(*packaged, "--widths", "3").settings} == {None}
    seeds = configured(*packaged, "--seeds", "11")
    assert (seeds.seeds, seeds.more_seeds) == ((11,), ())
    assert configured(*packaged, "--seeds", "11", "--more-seeds", "5", "6").more_seeds == (5, 6)
    assert configured(*packaged, "--more-seeds").more_seeds == ()
    assert configured(*packaged, "--precision", "bfloat16").training.precision == "bfloat16"


def test_help_names_what_the_registries_hold(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")  # no name is broken at its hyphen
    with pytest.raises(SystemExit):
        cli.main(["run", "--help"])
    shown = capsys.readouterr().out
    known = [*objectives.TERMS, *DATASETS, *TEACHERS, *presets.PRESETS, *set(networks.ARCHITECTURES) - {"cnn"}]
    assert [name for name in known if name not in shown] == []


def test_another_teacher_does_not_take_a_presets_checkpoint():
    setting = configured("--preset", "paper-cifar10-clip", "--teacher", "dinov2").settings[0]
    assert (setting.teacher, setting.data, setting.teacher_path) == ("dinov2", "cifar10", None)
