"""The distillation experiments as they run: losses and training by slow definitions, whole grids on planted teachers."""

import contextlib
import dataclasses
import errno
import json
import math
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import oracle
from repgeom_examples.distillation import (
    cli,
    configs,
    grid,
    objectives,
    running,
    sharing,
    stored,
    students,
    training,
    views,
)
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from torch import nn

os.environ["HF_HUB_OFFLINE"] = "1"  # it is read where the hub's client is first imported
SMALL = configs.Training(epochs=2, batch_size=8)
PLANTED = '''
import os, time
import torch
from repgeom_examples.distillation import stored
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher

def make(path, device, scale=1.0):
    weight = torch.randn(24, 768, generator=torch.Generator().manual_seed(0)).to(device) / 16
    encode = lambda x: scale * torch.tanh(x.flatten(1) @ weight.T)
    sizes = Preprocessing(16, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return Teacher("planted", encode, 24, sizes, pretrained=False, recipe={"planted": scale})

def other(path, device):
    return torch.zeros(3)

def infinite(path, device):
    return make(path, device, float("inf"))

def together(path, device):
    """Waits for a second process, and notes who writes which cell."""
    folder, save = os.environ["MEETING"], stored.save
    open(os.path.join(folder, f"here-{os.getpid()}"), "w").close()
    end = time.monotonic() + 60
    while sum(name.startswith("here") for name in os.listdir(folder)) < 2 and time.monotonic() < end:
        time.sleep(0.01)

    def noted(path, *record):
        with open(os.path.join(folder, f"saves-{os.getpid()}"), "a") as file:
            print(path.name, file=file)
        save(path, *record)

    stored.save = noted
    return make(path, device)
'''
GRID = "--data digits --widths 1 2 --objectives cosine cosine+infonce --seeds 1 2 --n-train 70 --n-test 64 --epochs 2"
GRID = [*GRID.split(), "--architectures", "global-pool", "--augmented", "--batch-size", "32", "--device", "cpu"]
N_CELLS = 1 + 2 * (4 + 1 + 1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder with a module of teachers, importable here and, by PYTHONPATH, elsewhere."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "planted_teachers.py").write_text(PLANTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


def arguments(out, *more, teacher="make"):
    """Of a small run with its own cache; the folders' last name is the run's, so that it can be compared."""
    ours = ["run", "--teacher", f"planted_teachers:{teacher}", *GRID, "--quiet"]
    return [*ours, "--out", str(out), "--cache", str(out.parent / "cache"), *map(str, more)]


@pytest.fixture(scope="module")
def whole(planted, tmp_path_factory):
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "small"
    assert cli.main(arguments(out)) == 0
    return out


@pytest.fixture
def copied(whole, tmp_path):
    """A copy of it with its cache, to be damaged."""
    shutil.copytree(whole.parent, tmp_path / "copy")
    return tmp_path / "copy" / whole.name


def contents(out):
    """Every cell's record, but for how long it took, and its arrays."""
    found = {}
    for path in sorted((out / "cells").glob("[!.]*.json")):
        record, arrays = loaded(path)
        found[path.name.removesuffix(".json")] = {k: v for k, v in record.items() if k != "seconds"}, arrays
    return found


def loaded(path):
    return stored.load(path.with_name(path.name.removesuffix(".json")))


def assert_same(out, other):
    """Bit for bit."""
    one, two = contents(out), contents(other)
    assert one.keys() == two.keys()
    for name in one:
        assert json.dumps(one[name][0], sort_keys=True) == json.dumps(two[name][0], sort_keys=True), name
        assert one[name][1].keys() == two[name][1].keys()
        for key, value in one[name][1].items():
            assert torch.equal(value, two[name][1][key]), (name, key)


def flip(file, at=0.5):
    data = bytearray(file.read_bytes())
    data[int(at * len(data))] ^= 1
    file.write_bytes(bytes(data))


def one_line(capsys):
    """What standard error holds, which must be one line of ours."""
    out, err = capsys.readouterr()
    assert err.startswith("repgeom-distill: "), err
    assert err.count("\n") == 1, err
    assert out == ""
    return err


# --- settings and cells -------------------------------------------------------------------------------------------


def test_presets_are_the_papers():
    assert list(configs.PRESETS) == ["quick", "embedded", "paper-cifar10-clip", "paper-cifar100-dinov2", "paper"]
    assert cli.DEFAULT == "embedded"
    paper = configs.PRESETS["paper"]
    assert [(s.teacher, s.data) for s in paper.settings] == [("clip", "cifar10"), ("dinov2", "cifar100")]
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
    assert [s.name for s in paper.settings] == [
        configs.PRESETS[f"paper-{name}"].settings[0].name for name in ("cifar10-clip", "cifar100-dinov2")
    ]
    embedded = configs.PRESETS["embedded"]
    assert (len(embedded.settings), embedded.widths, embedded.seeds) == (2, paper.widths, paper.seeds)


@pytest.mark.parametrize("name", configs.PRESETS)
def test_a_config_comes_back_from_json(name):
    config = dataclasses.replace(configs.PRESETS[name], seeds=(7,))
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
    assert len(cells) == len({c.name for c in cells}) == 2 + 2 * (4 + 3) + 2 * 4
    assert [c.seed for c in cells[2:]] == [5] * 11 + [3] * 11
    beside = [c for c in cells if c.architecture != "cnn" or c.augmented]
    assert {(c.setting, c.architecture, c.width, c.objective, c.augmented) for c in beside} == {
        ("clip-cifar10", "residual", 1, "cosine", False),
        ("clip-cifar10", "global-pool", 1, "cosine", False),
        ("clip-cifar10", "cnn", 2, "cosine", True),
    }
    assert [c.objective for c in grid.cells_of(dataclasses.replace(config, objectives=("mse",))) if c.augmented] == [
        "mse"
    ] * 2


def configured(*args):
    return cli.configured(cli.parser().parse_args(["run", *args]))


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
    assert configured() == configs.PRESETS["embedded"]
    assert configured("--preset", "paper", "--out", "elsewhere") == configs.PRESETS["paper"]
    assert configured("--preset", "paper", "--data-path", "d").settings[1].data_path == "d"
    assert configured("--teacher", "tiny-clip", "--data", "shapes100").settings[0].teacher_training == configs.TINY_CLIP


def test_another_teacher_does_not_take_a_presets_checkpoint():
    setting = configured("--preset", "paper-cifar10-clip", "--teacher", "dinov2").settings[0]
    assert (setting.teacher, setting.data, setting.teacher_path) == ("dinov2", "cifar10", None)


# --- students and objectives --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "count"), [(1, 811_264), (2, 1_405_440), (4, 2_732_032)])
def test_parameters_of_the_papers_students(width, count):
    assert students.n_parameters(students.make_student("cnn", width, 512, 0)) == count


@pytest.mark.parametrize("architecture", students.ARCHITECTURES)
def test_students_take_any_size_and_depend_on_their_seed_alone(architecture, rng):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (students.make_student(architecture, 1, 7, seed) for seed in (3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = students.make_student(architecture, 1, 7, 3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for size in (16, 20, 33):
        assert one(torch.rand(2, 3, size, size)).shape == (2, 7)


def test_the_students_forward_pass_is_the_papers():
    student = students.make_student("cnn", 1, 5, 0).double().train()
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    weights = {name: w.detach() for name, w in student.named_parameters()}
    convolutions = [w for w in weights.values() if w.ndim == 4]
    z = x
    for i, w in enumerate(convolutions):
        z = nn.functional.conv2d(z, w, _bias_of(weights, w), padding=1)
        z = (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        z = z.clamp(min=0)
        if i < 2:
            z = z.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    z = z.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    first, second = ((w, _bias_of(weights, w)) for w in weights.values() if w.ndim == 2)
    z = (z.flatten(1) @ first[0].mT + first[1]).clamp(min=0) @ second[0].mT + second[1]
    assert [len(w) for w in convolutions] == [16, 32, 64]
    assert (len(first[0]), len(second[0])) == (512, 5)
    assert student(x).detach().numpy() == pytest.approx(z.numpy(), abs=1e-10)


def _bias_of(weights, weight):
    name = next(n for n, w in weights.items() if w is weight)
    return weights[name.removesuffix("weight") + "bias"]


def unit(row):
    return [v / math.sqrt(sum(w * w for w in row)) for v in row]


def dot(a, b):
    return sum(v * w for v, w in zip(a, b, strict=True))


def slow_cosine(s, t):
    return sum(1 - dot(unit(a), unit(b)) for a, b in zip(s, t, strict=True)) / len(s)


def slow_mse(s, t):
    return sum((v - w) ** 2 for a, b in zip(s, t, strict=True) for v, w in zip(a, b, strict=True)) / (
        len(s) * len(s[0])
    )


def slow_infonce(s, t, temperature):
    total = 0.0
    for i, a in enumerate(s):
        scores = [math.exp(dot(unit(a), unit(b)) / temperature) for b in t]
        total -= math.log(scores[i] / sum(scores))
    return total / len(s)


def slow_rank(z):
    return oracle(np.array([unit(row) for row in z]))["effective_rank"]


SLOW = {
    "cosine": lambda s, t, v, c: slow_cosine(s, t),
    "mse": lambda s, t, v, c: slow_mse(s, t),
    "infonce": lambda s, t, v, c: slow_infonce(s, t, c.infonce_temperature),
    "cosine+infonce": lambda s, t, v, c: (
        slow_cosine(s, t) + c.infonce_weight * slow_infonce(s, t, c.infonce_temperature)
    ),
    "cosine+infonce-views": lambda s, t, v, c: (
        slow_cosine(s, t) + c.infonce_weight * slow_infonce(s, v, c.infonce_temperature)
    ),
    "cosine+rank": lambda s, t, v, c: slow_cosine(s, t) + c.rank_weight * max(0, 1 - slow_rank(s) / slow_rank(t)),
}


def test_every_objective_has_a_slow_definition():
    assert SLOW.keys() == objectives.OBJECTIVES.keys()


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_objectives_are_their_slow_definitions(name, dtype, rng):
    settings = configs.Training(infonce_weight=0.7, infonce_temperature=0.2, rank_weight=3.0)
    flat, full = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 6)), 3 * rng.standard_normal((12, 6)) + 0.5
    for student, teacher in ((flat, full), (full, flat)):
        view = student + 0.3 * rng.standard_normal(student.shape)
        s, t, v = (torch.tensor(x, dtype=dtype) for x in (student, teacher, view))
        s.requires_grad_()
        loss = objectives.OBJECTIVES[name](objectives.Batch(s, t, lambda v=v: v, settings))
        expected = SLOW[name](student.tolist(), teacher.tolist(), view.tolist(), settings)
        assert loss.shape == ()
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(expected, rel=1e-4 if dtype == torch.float32 else 1e-10)
        loss.backward()
        if dtype == torch.float64:
            assert s.grad.numpy() == pytest.approx(slope(name, student, teacher, view, settings), abs=1e-5)


def slope(name, student, teacher, view, settings, step=1e-6):
    """Central differences of the slow definition; the second view is held."""
    found = np.zeros_like(student)
    for place in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[place] += step
        down[place] -= step
        high, low = (SLOW[name](x.tolist(), teacher.tolist(), view.tolist(), settings) for x in (up, down))
        found[place] = (high - low) / (2 * step)
    return found


def test_only_the_views_cost_a_second_pass(rng):
    s, t = (torch.tensor(rng.standard_normal((8, 4))) for _ in range(2))
    asked = []

    def view():
        asked.append(1)
        return s

    for name, objective in objectives.OBJECTIVES.items():
        asked.clear()
        objective(objectives.Batch(s, t, view, SMALL))
        assert len(asked) == (name == "cosine+infonce-views"), name


# --- training -----------------------------------------------------------------------------------------------------


def numbered(n, size=8):
    """Images that say which they are: pixel (0, 0, 0) is the number."""
    pixels = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels[:, 0, 0, 0] = torch.arange(n)
    return pixels


def trained(student, images, targets, objective="cosine", settings=SMALL, **other):
    """`train_student` on what a student sees: pixels over 255."""
    how = {"as_input": lambda p: p.float() / 255, "augmented": False, "seed": 1, "tick": lambda n: None, **other}
    return training.train_student(student, images, targets, objective, settings, **how)


@pytest.fixture
def seen(monkeypatch):
    """Every batch that an objective named "spy" looked at."""
    found = []

    def spy(batch):
        found.append(batch)
        return objectives.cosine(batch)

    monkeypatch.setitem(objectives.OBJECTIVES, "spy", spy)
    return found


def test_every_epoch_is_another_order_of_whole_batches_with_their_own_targets(seen):
    images, ticks, inputs = numbered(21), [], []

    def as_input(pixels):
        inputs.append(pixels)
        return pixels.float() / 255

    def numbers(seed, **other):
        inputs.clear()
        trained(students.make_student("cnn", 1, 1, 0), images, [torch.arange(21.0)[:, None]], "spy", seed=seed, **other)
        return [p[:, 0, 0, 0].tolist() for p in inputs]

    first = numbers(1, as_input=as_input, tick=ticks.append)
    assert [len(b) for b in first] == [8, 8, 8, 8]  # five of twenty-one do not fill a batch
    assert ticks == [8] * 4
    assert [b.teacher[:, 0].tolist() for b in seen] == first
    epochs = [first[0] + first[1], first[2] + first[3]]
    assert all(len(set(e)) == 16 for e in epochs)
    assert epochs[0] != epochs[1]
    assert set(epochs[0]) != set(epochs[1])
    assert numbers(1, as_input=as_input) == first
    assert numbers(2, as_input=as_input) != first
    generator = torch.Generator().manual_seed(1)
    assert epochs == [torch.randperm(21, generator=generator)[:16].tolist() for _ in range(2)]


def test_augmented_epochs_have_their_own_views_and_targets(seen):
    images, inputs = numbered(16), []
    targets = [torch.stack([torch.arange(16.0), torch.full((16,), e)], 1) for e in (10.0, 20.0)]

    def as_input(pixels):
        inputs.append(pixels)
        return pixels.float() / 255

    trained(students.make_student("cnn", 1, 2, 0), images, targets, "spy", augmented=True, as_input=as_input)
    for number, (batch, pixels) in enumerate(zip(seen, inputs, strict=True)):
        epoch, rows = number // 2, batch.teacher[:, 0].long()
        assert batch.teacher[:, 1].tolist() == [10.0 + 10 * epoch] * 8
        assert torch.equal(pixels, views.crop_flip(images[rows], rows, epoch, SMALL.crop_padding))
    assert not torch.equal(views.crop_flip(images, torch.arange(16), 0, 0.125), images)


def slow_view(image, pad, top, left, mirrored):
    padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
    size = image.shape[-1]
    cut = padded[:, top : top + size, left : left + size]
    return cut[:, :, ::-1] if mirrored else cut


def test_a_view_is_one_of_the_crops_and_flips_and_all_of_them_come():
    images, found = numbered(40), Counter()
    for view in range(3):
        made = views.crop_flip(images, torch.arange(40), view, 0.125).numpy()
        for i, image in enumerate(images.numpy()):
            ways = [(t, x, m) for t in range(3) for x in range(3) for m in (False, True)]
            hits = [w for w in ways if np.array_equal(made[i], slow_view(image, 1, *w))]
            assert len(hits) == 1
            found[hits[0]] += 1
    assert len(found) == 18
    part = views.crop_flip(images[[7, 3]], torch.tensor([7, 3]), 2, 0.125)
    assert np.array_equal(part.numpy(), made[[7, 3]])


def test_second_views_differ_by_batch_epoch_and_seed():
    images, found = numbered(8, 16), []

    def spy(batch):
        inputs.clear()
        batch.second_view()
        found.append(inputs[0])
        return objectives.cosine(batch)

    inputs = []

    def as_input(pixels):
        inputs.append(pixels.clone())
        return pixels.float() / 255

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(objectives.OBJECTIVES, "spy", spy)
        for seed in (0, 1, 2):
            student = students.make_student("cnn", 1, 3, 0)
            settings = dataclasses.replace(SMALL, epochs=3)
            trained(student, images, [torch.rand(8, 3)], "spy", settings, seed=seed, as_input=as_input)
    shown = {x[x[:, 0, 0, 0].sort().indices].numpy().tobytes() for x in found}
    assert len(found) == 9
    assert len(shown) == 9


def test_second_views_of_a_long_training_are_not_those_of_the_next_seed(monkeypatch):
    """At the paper's 50,000 images."""
    numbers = {}
    monkeypatch.setattr(training, "crop_flip", lambda pixels, rows, view, padding: drawn.append(view) or pixels)
    monkeypatch.setitem(objectives.OBJECTIVES, "spy", lambda b: b.second_view().square().mean())
    images = numbered(200, 1).expand(50_000 // 200, 200, 3, 1, 1).flatten(0, 1)
    settings = configs.Training(epochs=25, batch_size=25_000)
    for seed in (42, 43):
        drawn = []
        trained(
            nn.Sequential(nn.Flatten(), nn.Linear(3, 1)), images, [torch.zeros(50_000, 1)], "spy", settings, seed=seed
        )
        numbers[seed] = set(drawn)
        assert len(numbers[seed]) == 50
    assert not numbers[42] & numbers[43]
    assert not numbers[42] & set(range(25))  # of the augmentation control


def test_training_is_adams_by_a_plain_loop():
    images, targets = numbered(20), torch.randn(20, 5, generator=torch.Generator().manual_seed(3))
    student, slow = (students.make_student("cnn", 1, 5, 9).double() for _ in range(2))
    settings = configs.Training(epochs=2, batch_size=8, learning_rate=3e-3)
    losses = []
    weights = list(slow.parameters())
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    generator, step = torch.Generator().manual_seed(4), 0
    for _ in range(2):
        order = torch.randperm(20, generator=generator).tolist()
        for rows in (order[:8], order[8:16]):
            z, t = slow(images[rows].double() / 255), targets[rows].double()
            loss = (1 - (z * t).sum(1) / z.norm(dim=1) / t.norm(dim=1)).mean()
            gradients, step = torch.autograd.grad(loss, weights), step + 1
            losses.append(loss.item())
            with torch.no_grad():
                for w, g, m, v in zip(weights, gradients, first, second, strict=True):
                    m.mul_(0.9).add_(0.1 * g)
                    v.mul_(0.999).add_(0.001 * g * g)
                    w -= 3e-3 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    found = trained(student, images, [targets], settings=settings, seed=4, as_input=lambda p: p.double() / 255)
    assert found == pytest.approx([np.mean(losses[:2]), np.mean(losses[2:])], rel=1e-4)


@pytest.mark.parametrize("objective", objectives.OBJECTIVES)
@pytest.mark.parametrize("augmented", [False, True])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(objective, augmented):
    images, targets = numbered(16), [torch.randn(16, 5, generator=torch.Generator().manual_seed(e)) for e in range(2)]

    def weights(seed):
        student = students.make_student("cnn", 1, 5, 0)
        trained(student, images, targets, objective, augmented=augmented, seed=seed)
        return torch.cat([v.double().flatten() for v in student.state_dict().values()])

    one = weights(1)
    torch.rand(7)
    assert torch.equal(one, weights(1))
    assert not torch.equal(one, weights(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_told_with_its_epoch(bad, monkeypatch):
    count = []

    def objective(batch):
        count.append(1)
        return batch.student.sum() * (bad if len(count) == 3 else 1)

    monkeypatch.setitem(objectives.OBJECTIVES, "bad", objective)
    with pytest.raises(training.Diverged, match=r"the loss became (nan|-?inf) in epoch 2 of 3"):
        trained(students.make_student("cnn", 1, 2, 0), numbered(16), [torch.ones(16, 2)], "bad", configs.Training(3, 8))


@pytest.mark.parametrize("objective", objectives.OBJECTIVES)
def test_a_rate_that_is_far_too_high_raises_nothing_but_diverged(objective):
    with contextlib.suppress(training.Diverged):
        settings = configs.Training(4, 8, learning_rate=1e30)
        trained(students.make_student("cnn", 1, 5, 0), numbered(16), [torch.rand(16, 5)], objective, settings)


def test_fewer_images_than_a_batch_are_named():
    with pytest.raises(ValueError, match="7 images to train on do not fill one batch of 8"):
        trained(students.make_student("cnn", 1, 5, 0), numbered(7), [torch.rand(7, 5)])


# --- whole runs ---------------------------------------------------------------------------------------------------


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


def test_a_finished_run_is_only_read(copied, whole, monkeypatch, capsys):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (copied / "cells").iterdir() if p.is_file()}
    shutil.rmtree(copied.parent / "cache")
    monkeypatch.setattr(running, "prepare", None)  # neither images nor teacher are needed
    assert cli.main(arguments(copied)) == 0
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before
    out, err = capsys.readouterr()
    assert "Table 1" in out
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
    target, student = teacher.encode(train), students.make_student("cnn", 2, 24, 1)
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
    place = running.Place(tmp_path / "out", tmp_path / "cache", torch.device("cpu"), bar=False)
    prepared = running.prepare(config.settings[0], config, place)
    for cell in grid.cells_of(config):
        moved = []
        running._run_cell(cell, prepared, config, place, moved.append)
        assert sum(moved) == pytest.approx(running._cost(cell, prepared, config), rel=1e-12), cell.name


# --- interrupted, damaged, shared ---------------------------------------------------------------------------------


def elsewhere(planted):
    """The environment of another process: one thread, and our teachers importable."""
    paths = [str(planted), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


@contextlib.contextmanager
def started(planted, *args):
    """The command line in another process on one thread; killed at the end."""
    env = elsewhere(planted)
    command = [sys.executable, "-m", "repgeom_examples.distillation.cli", *args]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_cells(process, out, more_than):
    """Until there are that many cells and the process is stopped."""
    end = time.monotonic() + 120
    while len(list((out / "cells").glob("*.json"))) <= more_than:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGSTOP)
    assert len(list((out / "cells").glob("*.json"))) < N_CELLS


def test_killed_again_and_again_a_run_ends_as_one_that_was_not(planted, whole, tmp_path, capsys):
    out, n_done = tmp_path / "killed" / "small", 0
    for _ in range(2):
        with started(planted, *arguments(out)) as process:
            wait_for_cells(process, out, n_done)
            if n_done == 0:  # while it holds the folder, another run is refused
                assert cli.main(arguments(out)) == 2
                assert f"{out} is in use by process {process.pid} on " in one_line(capsys)
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        n_done = len(list((out / "cells").glob("*.json")))
    assert 2 <= n_done < N_CELLS
    assert cli.main(["status", str(out)]) == 0
    assert f"{n_done} of {N_CELLS} cells done, 0 failed, {N_CELLS - n_done} remain" in capsys.readouterr().out
    assert cli.main(arguments(out)) == 0
    assert_same(out, whole)


def test_what_a_kill_leaves_half_written_is_not_taken_for_a_result(copied, whole):
    cells = copied / "cells"
    names = sorted(p.name.removesuffix(".json") for p in cells.glob("*.json"))
    (cells / f"{names[0]}.json").unlink()  # arrays without a record
    (cells / f"{names[1]}.json").unlink()
    (cells / f"{names[1]}.safetensors").write_bytes(b"half")
    (cells / f".{names[2]}.json.a1b2").write_text("half")  # a temporary file
    assert cli.main(arguments(copied)) == 0
    assert_same(copied, whole)


def test_an_interrupted_run_says_that_it_goes_on(planted, whole, tmp_path, monkeypatch, capsys):
    out, count = tmp_path / "small", []

    def interrupt(batch):
        count.append(1)
        if len(count) == 6:
            raise KeyboardInterrupt
        return objectives.cosine(batch)

    with monkeypatch.context() as patch:
        patch.setitem(objectives.OBJECTIVES, "cosine", interrupt)
        assert cli.main(arguments(out)) == 130
    assert "interrupted; the same command goes on from here" in capsys.readouterr().err
    assert 1 < len(contents(out)) < N_CELLS
    assert cli.main(arguments(out)) == 0
    assert_same(out, whole)


def test_damaged_results_are_named_and_made_again(copied, whole, capsys):
    cells = copied / "cells"
    names = sorted(p.name.removesuffix(".json") for p in cells.glob("*.json"))
    flip(cells / f"{names[0]}.json")
    flip(cells / f"{names[1]}.safetensors", 0.9)
    (cells / f"{names[2]}.safetensors").unlink()
    (cells / f"{names[3]}.json").write_bytes((cells / f"{names[3]}.json").read_bytes()[:-200])
    (cells / f"{names[4]}.json").write_bytes(b"")
    (cells / f"{names[5]}.json").write_bytes(b"\xff\xfe" * 50)
    flip(cells / f"{names[6]}.safetensors", 0.01)
    bad = [f"{names[i]}.{'safetensors' if i in (1, 2, 6) else 'json'}" for i in range(7)]
    assert cli.main(["status", str(copied)]) == 0
    out, err = capsys.readouterr()
    assert f"{N_CELLS - 7} of {N_CELLS} cells done, 0 failed, 7 remain" in out
    assert [name for name in bad if f"/{name} is " not in err] == []
    assert cli.main(arguments(copied)) == 0
    err = capsys.readouterr().err
    assert [
        name for name in bad if not re.search(f"/{re.escape(name)} is (damaged|missing).* It is made again", err)
    ] == []
    assert_same(copied, whole)
    assert cli.main(arguments(copied)) == 0
    assert capsys.readouterr().err == ""


def test_damaged_features_are_named_and_made_again(copied, whole, capsys):
    (copied / "cells" / "make-digits--cnn-w1-cosine-s1.json").unlink()
    files = sorted((copied.parent / "cache" / "features").glob("*.safetensors"))
    assert len(files) == 4  # test, train, and train cropped for each of two epochs
    for file in files:
        flip(file, 0.7)
    assert cli.main(arguments(copied)) == 0
    err = capsys.readouterr().err
    assert all(f"{file} is damaged" in err for file in files)
    assert err.count("It is made again.") == 4
    assert_same(copied, whole)


def test_damaged_settings_do_not_let_two_runs_mix(copied, whole, capsys):
    flip(copied / "run.json")
    assert cli.main(arguments(copied)) == 0
    assert "run.json is damaged" in capsys.readouterr().err
    assert_same(copied, whole)
    flip(copied / "run.json")
    code = cli.main(arguments(copied, "--learning-rate", 0.01))
    if code == 0:  # then nothing of the other settings may be left
        record = contents(copied)["make-digits--cnn-w1-cosine-s1"][0]
        assert record["losses"] != contents(whole)["make-digits--cnn-w1-cosine-s1"][0]["losses"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (["--epochs", 3], "training.epochs: 2 there, 3 now"),
        (["--seeds", 1, 3], "seeds[1]: 2 there, 3 now"),
        (["--seeds", 1], "seeds: [1, 2] there, [1] now"),
        (["--n-train", 64], "settings[0].n_train: 70 there, 64 now"),
        (["--no-augmented"], "settings[0].augmented: True there, False now"),
        (["--student-input", "native"], "settings[0].student_input: 'teacher' there, 'native' now"),
    ],
    ids=str,
)
def test_a_folder_with_other_settings_is_refused(whole, other, said, capsys):
    assert cli.main(arguments(whole, *other)) == 2
    assert f"{whole} holds a run with other settings ({said}); name another folder" in one_line(capsys)


def test_a_run_whose_folder_got_another_name_goes_on(copied, whole):
    moved = copied.rename(copied.with_name("renamed"))
    (moved / "cells" / "make-digits--cnn-w1-cosine-s1.json").unlink()
    assert cli.main(arguments(moved)) == 0
    assert_same(moved, whole)


def test_threads_are_those_of_the_beginning(copied, whole):
    before = torch.get_num_threads()
    (copied / "cells" / "make-digits--cnn-w2-cosine+infonce-s1.json").unlink()
    try:
        torch.set_num_threads(2)
        assert cli.main(arguments(copied)) == 0
        assert torch.get_num_threads() == stored.load(whole / "run").record["machine"]["threads"] == before
    finally:
        torch.set_num_threads(before)
    assert_same(copied, whole)


def test_two_processes_under_torchrun_share_the_cells(planted, whole, tmp_path):
    out, meeting = tmp_path / "shared" / "small", tmp_path / "meeting"
    meeting.mkdir()
    env = {**elsewhere(planted), "MEETING": str(meeting)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["repgeom_examples.distillation.cli", *arguments(out, teacher="together")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Table 1") == 1
    written = {p.name: p.read_text().split() for p in meeting.glob("saves-*")}
    cells = [name for names in written.values() for name in names if "--" in name]
    assert len(cells) == len(set(cells)) == N_CELLS
    assert len(written) == 2
    assert all(written.values())
    for name, (record, arrays) in contents(whole).items():
        there, others = stored.load(out / "cells" / name.replace("make", "together"))
        for which in (there, record):
            which.pop("seconds", None), which.pop("cell"), which.pop("config"), which["setting"].pop("name")
        assert there == record
        assert all(torch.equal(others[key], value) for key, value in arrays.items())


def test_a_process_of_another_group_is_refused(copied, monkeypatch, capsys):
    monkeypatch.setattr(sharing, "PATIENCE", 0.2)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_PORT", "12345")
    with stored.locked(copied / "run", owner="(group other)"):
        assert cli.main(arguments(copied)) == 2
    assert f"in use by process {os.getpid()} on " in one_line(capsys)


def test_a_process_that_joins_survives_damaged_settings(copied, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    flip(copied / "run.json")
    with stored.locked(copied / "run", owner=sharing._group()[0]):
        assert cli.main(arguments(copied)) == 0, capsys.readouterr().err


# --- cells that fail ----------------------------------------------------------------------------------------------


def nothing(batch):
    return batch.student.sum() * math.nan


@pytest.fixture
def failed(planted, tmp_path, monkeypatch, capsys):
    """A run one of whose objectives is never a number."""
    monkeypatch.setitem(objectives.OBJECTIVES, "bad", nothing)
    out = tmp_path / "small"
    assert cli.main(arguments(out, "--objectives", "bad", "cosine", "--no-augmented", "--architectures")) == 0
    return out, capsys.readouterr().out


def test_a_cell_that_diverges_is_missing_and_not_zero(failed, capsys):
    out, printed = failed
    records = {name: record for name, (record, _) in contents(out).items()}
    bad = [name for name in records if "-bad-" in name]
    assert len(bad) == 4
    assert {records[name]["status"] for name in bad} == {"failed"}
    assert {records[name]["reason"] for name in bad} == {"the loss became nan in epoch 1 of 2"}
    assert {record["status"] for name, record in records.items() if name not in bad} == {"done"}
    assert "Failed: make-digits cnn-w1-bad, seed 1: the loss became nan in epoch 1 of 2" in printed
    assert cli.main(["status", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "5 of 9 cells done, 4 failed, 0 remain" in shown
    assert all(f"failed  {name}: the loss became nan" in shown for name in bad)
    assert cli.main(["report", str(out)]) == 0
    for name, column in (("table1", "effective rank"), ("table2", "clean"), ("record", "rank from σ²")):
        table = pd.read_csv(out / "report" / f"{name}.csv")
        rows = table[table.model.str.contains("bad")]
        assert len(rows) == 2
        assert (rows.seeds == 0).all()
        assert rows.drop(columns=["setting", "model", "seeds", "note"]).isna().all(axis=None)
        assert rows.note.str.contains("the loss became nan").all()
        others = table[~table.model.str.contains("bad")]
        assert len(others) == 3
        assert others[column].notna().all()
    assert "the loss became nan" in (out / "report" / "report.md").read_text()
    assert "the loss became nan" in (out / "report" / "report.html").read_text()


@pytest.mark.parametrize("objective", objectives.OBJECTIVES)
@pytest.mark.parametrize("rate", ["1e30", "1e6"])
def test_a_rate_that_is_far_too_high_never_stops_the_run(objective, rate, planted, tmp_path, capsys):
    """One batch: the last loss is a number, the weights after it need not be."""
    few = ["--no-augmented", "--architectures", "--widths", 1, "--seeds", 1, "--batch-size", 70]
    out = tmp_path / "small"
    code = cli.main(arguments(out, *few, "--objectives", objective, "--epochs", 1, "--learning-rate", rate))
    assert code == 0, capsys.readouterr().err
    assert len(contents(out)) == 2
    shutil.rmtree(out)
    code = cli.main(arguments(out, *few, "--objectives", objective, "--epochs", 3, "--learning-rate", rate))
    assert code == 0, capsys.readouterr().err
    assert len(contents(out)) == 2


def test_a_student_that_says_nothing_fails_alone(planted, tmp_path, monkeypatch):
    def constant(width, out):
        net = students.paper_cnn(width, out)
        nn.init.zeros_(net[-1].weight)
        return nn.Sequential(net, Constant())

    class Constant(nn.Module):
        def forward(self, x):
            return 0 * x + 1

    monkeypatch.setitem(students.ARCHITECTURES, "global-pool", constant)
    for objective in ("cosine", "cosine+rank", "infonce"):
        out = tmp_path / objective / "small"
        few = ["--no-augmented", "--widths", 1, "--seeds", 1, "--objectives", objective]
        assert cli.main(arguments(out, *few)) == 0
        records = {name: record for name, (record, _) in contents(out).items()}
        assert [n for n, r in records.items() if r["status"] == "failed"] == [
            f"make-digits--global-pool-w1-{objective}-s1"
        ]


# --- errors -------------------------------------------------------------------------------------------------------

ERRORS = {
    "objective": ("--objectives cosine nonsense", "unknown objective 'nonsense'; there are cosine, cosine+infonce"),
    "architecture": ("--architectures nonsense", "'nonsense'; there are"),
    "teacher": ("--teacher nonsense", "unknown teacher 'nonsense'; there are clip, dinov2"),
    "data": ("--data nonsense", "unknown data 'nonsense'; there are cifar10, cifar100"),
    "no module": ("--teacher nowhere.at.all:make", "teacher 'nowhere.at.all:make' cannot be found: No module named"),
    "no function": ("--teacher planted_teachers:nothing", "'planted_teachers:nothing' cannot be found"),
    "not a teacher": ("--teacher planted_teachers:other", "must return a Teacher, it returned Tensor"),
    "an infinite teacher": ("--teacher planted_teachers:infinite", "values that are not finite"),
    "no path for CIFAR": ("--data cifar10", "cifar10 needs --data-path"),
    "no CIFAR": ("--data cifar10 --data-path {here}/none", "no cifar10 at {here}/none: looked for"),
    "path for digits": ("--data-path {here}", "digits"),
    "path for a teacher trained here": ("--teacher tiny-clip --teacher-path {here}", "trained here and has no path"),
    "checkpoint without weights": ("--teacher clip --teacher-path {here}", "{here} is not a checkpoint: it has no config.json"),
    "no checkpoint": ("--teacher clip --teacher-path {here}/none", "{here}/none is no folder"),
    "batch": ("--batch-size 71", "70 images to train on, fewer than one batch of 71"),
    "rate": ("--learning-rate -1", "learning rate"),
    "temperature": ("--infonce-temperature 0", "temperature"),
    "device": ("--device nonsense", "nonsense"),
    "one image": ("--n-test 1", "measure on"),
    "not on the hub": ("--teacher clip --teacher-path nobody/nothing", "download it elsewhere"),
}  # fmt: skip


@pytest.mark.parametrize("which", ERRORS)
def test_an_error_is_one_line_and_status_2(which, planted, tmp_path, capsys):
    line, message = (text.replace("{here}", str(tmp_path)) for text in ERRORS[which])
    assert cli.main(arguments(tmp_path / "out" / "small", *line.split())) == 2
    assert message in one_line(capsys)
    assert not list(tmp_path.glob("out/small/cells/*.json"))


def test_a_corrected_command_goes_on_in_the_same_folder(planted, tmp_path, capsys):
    out = tmp_path / "small"
    assert cli.main(arguments(out, "--data-path", "nowhere")) == 2
    assert (out / "run.json").exists()  # for `status`
    assert cli.main(["status", str(out)]) == 0
    assert f"0 of {N_CELLS} cells done" in capsys.readouterr().out
    assert cli.main(arguments(out)) == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there_is_named(device, planted, tmp_path, capsys):
    assert cli.main(arguments(tmp_path / "small", "--device", device)) == 2
    assert "GPU" in one_line(capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--teacher clip", "preset embedded has several settings: give both --teacher and --data"),
        ("--data digits", "preset embedded has several settings: give both --teacher and --data"),
        ("--teacher-path x", "preset embedded has several teachers: give --teacher and --data with --teacher-path"),
        ("--objectives cosin", "unknown objective 'cosin'"),
    ],
)
def test_half_a_setting_is_an_error(line, message, tmp_path, capsys):
    assert cli.main(["run", "--out", str(tmp_path / "x"), "--cache", str(tmp_path), *line.split()]) == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("line", ["--widths 0", "--epochs 0", "--preset none", "--seeds one", "--student-input big"])
def test_what_the_parser_refuses(line, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", *line.split()])
    assert caught.value.code == 2
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "status"])
def test_a_folder_without_a_run_is_named(command, tmp_path, capsys):
    assert cli.main([command, str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'} holds no run" in one_line(capsys)
    assert not (tmp_path / "none").exists()


def test_a_teacher_that_is_not_trained_here_is_named(tmp_path, capsys):
    assert cli.main(["teacher", "clip", "--cache", str(tmp_path)]) == 2
    assert "clip is not trained here; there are tiny-clip, tiny-dino" in one_line(capsys)


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_runs(planted, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(running, "prepare", None)
    assert cli.main(arguments(tmp_path / "file" / "small")) == 2
    assert f"{tmp_path}/file/small cannot be written (Not a directory); name another folder" in one_line(capsys)

    def refused(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(stored.tempfile, "TemporaryFile", refused)
    assert cli.main(arguments(tmp_path / "small")) == 2
    assert "cannot be written (Read-only file system)" in one_line(capsys)


def test_a_full_disk_is_an_error_before_anything_runs(planted, tmp_path, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(stored.shutil, "disk_usage", lambda folder: usage(10**12, 10**12, 10**6))
    monkeypatch.setattr(running, "prepare", None)
    assert cli.main(arguments(tmp_path / "small")) == 2
    assert re.search(r"has 0\.00 GB free and this run may need \d+\.\d\d GB there", one_line(capsys))


def test_a_disk_that_fills_up_costs_one_cell(planted, whole, tmp_path, monkeypatch, capsys):
    out, write = tmp_path / "small", stored.write_whole

    def full(target, data):
        if "s2" in target.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        write(target, data)

    with monkeypatch.context() as patch:
        patch.setattr(stored, "write_whole", full)
        assert cli.main(arguments(out)) == 2
    assert "No space left on device" in one_line(capsys)
    assert len(contents(out)) == 7
    assert cli.main(arguments(out)) == 0
    assert_same(out, whole)


# --- as a user with a real checkpoint and real files --------------------------------------------------------------


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """CIFAR-10's python version with sixteen images a batch."""
    folder, rng = tmp_path_factory.mktemp("data") / "cifar-10-batches-py", np.random.default_rng(0)
    folder.mkdir()
    base = rng.integers(0, 200, (10, 3072))
    for name, n in [*((f"data_batch_{i}", 16) for i in range(1, 6)), ("test_batch", 80)]:
        labels = [int(c) for c in rng.permutation(n) % 10]
        data = (base[labels] + rng.integers(0, 56, (n, 3072))).astype(np.uint8)
        content = {b"batch_label": name.encode(), b"labels": labels, b"data": data, b"filenames": [b"x.png"] * n}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    names = [f"class {i}".encode() for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({b"num_cases_per_batch": 16, b"label_names": names}, protocol=2))
    return folder.parent


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A whole CLIP, both towers, as it is published, with random weights."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**sizes, "image_size": 32, "patch_size": 16, "projection_dim": 24}
    text = {**sizes, "vocab_size": 50, "max_position_embeddings": 8, "projection_dim": 24}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=24)).save_pretrained(folder)
    return folder


def test_clip_on_cifar_from_the_command_line(clip, cifar, tmp_path, capsys):
    from transformers import CLIPModel

    out = tmp_path / "runs" / "mine"
    line = ["run", "--teacher", "clip", "--teacher-path", clip, "--data", "cifar10", "--data-path", cifar]
    line += [
        "--widths",
        "1",
        "2",
        "--objectives",
        "cosine",
        "cosine+infonce",
        "--seeds",
        "1",
        "2",
        "--n-train",
        "64",
        "--n-test",
        "64",
        "--epochs",
        "1",
    ]
    line += ["--batch-size", 32, "--cache", tmp_path / "cache", "--out", out, "--device", "cpu"]
    assert cli.main(list(map(str, line))) == 0
    printed, bar = capsys.readouterr()
    assert "clip-cifar10" in bar
    assert "100%" in bar
    assert "clip-cifar10: checkpoint tiny (24 features), real images, 64 to train on and 64 to measure on" in printed
    assert f"repgeom-distill report {out}" in printed
    assert "9 of 9 cells, 2 seeds (1, 2)" in printed
    found = contents(out)
    assert len(found) == 9

    # The teacher by transformers alone: 32 pixels are its own size.
    test = pickle.loads((cifar / "cifar-10-batches-py" / "test_batch").read_bytes())[b"data"].reshape(-1, 3, 32, 32)
    mean, std = np.array([[0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]])[:, :, None, None]
    rows = torch.randperm(80, generator=torch.Generator().manual_seed(0))[:64].sort().values
    with torch.no_grad():
        model = CLIPModel.from_pretrained(clip).eval()
        pixels = torch.tensor((test / 255 - mean) / std, dtype=torch.float32)
        features = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)[rows]
    units = nn.functional.normalize(features.double())
    teacher = found["clip-cifar10--teacher"][0]
    assert teacher["effective_rank"] == pytest.approx(oracle(units)["effective_rank"], rel=1e-4)
    assert teacher["cosine"] == pytest.approx(1)
    assert teacher["infonce"] == pytest.approx(slow_infonce(units.tolist(), units.tolist(), 0.1), rel=1e-4)

    assert cli.main(["status", str(out)]) == 0
    assert "9 of 9 cells done, 0 failed, 0 remain" in capsys.readouterr().out
    assert cli.main(["report", str(out), "--to", str(tmp_path / "report")]) == 0
    written = sorted(p.name for p in (tmp_path / "report").iterdir())
    assert {"table1.csv", "table2.csv", "ledger.csv", "report.md", "report.html"} <= set(written)
    assert sum(name.endswith(".png") for name in written) == 3
    table = pd.read_csv(tmp_path / "report" / "table1.csv").set_index("model")
    ranks = [found[f"clip-cifar10--cnn-w1-cosine-s{seed}"][0]["effective_rank"] for seed in (1, 2)]
    assert table.loc["cnn-w1-cosine", "effective rank"] == pytest.approx(sum(ranks) / 2, rel=1e-6)
    assert table.loc["cnn-w1-cosine", "parameters"] == 811_264 - 512 * 513 + 24 * 513
    assert table.loc["teacher", "effective rank"] == pytest.approx(teacher["effective_rank"], rel=1e-6)


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


def test_arrays_lie_beside_their_record_in_a_common_format(whole):
    path = whole / "cells" / "make-digits--teacher.safetensors"
    record = json.loads((whole / "cells" / "make-digits--teacher.json").read_text().split("\n", 1)[1])
    assert load_file(path).keys() == stored.load(path.with_name("make-digits--teacher")).arrays.keys()
    assert record["record"]["cell"]["kind"] == "teacher"
