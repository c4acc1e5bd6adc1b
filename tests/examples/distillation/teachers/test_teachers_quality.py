"""How good a teacher is: the library's own numbers."""

import itertools

import numpy as np
import pytest
import torch
from conftest import oracle
from PIL import Image
from torch.nn import functional as F

import repgeom as rg
from repgeom_examples.distillation import cli
from repgeom_examples.distillation.command.configuring import settings_of
from repgeom_examples.distillation.data.load import load_dataset
from repgeom_examples.distillation.settings import presets
from repgeom_examples.distillation.settings.configs import Setting
from repgeom_examples.distillation.teachers import load, quality
from repgeom_examples.distillation.teachers.features import encoded
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher


def test_quality_is_the_librarys(tmp_path, rng):
    for name, half in itertools.product(("ant", "bee"), ("train", "test")):
        (tmp_path / half / name).mkdir(parents=True)
        for i in range(60):
            image = rng.integers(0, 200 if name == "ant" else 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / half / name / f"{i}.png")
    setting = Setting("mine", "folder", data_path=str(tmp_path), image_size=8)
    weight = torch.tensor(rng.standard_normal((192, 6)), dtype=torch.float32)
    how = Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    teacher = Teacher("linear", lambda x: x.flatten(1) @ weight, 6, how, False, {})
    dataset = load_dataset(setting)
    found = quality.quality(teacher, setting, torch.device("cpu"))
    features = [encoded(teacher, how(half.pixels)) for half in (dataset.train, dataset.test)]
    pixels = [half.pixels.flatten(1).float() / 255 for half in (dataset.train, dataset.test)]
    rank = oracle(F.normalize(features[1].double()))["effective_rank"]
    assert found["effective_rank"] == pytest.approx(rank, rel=1e-5)
    for name, (x, y) in {"probe": features, "pixels": pixels}.items():
        probe = rg.probes.fit_linear_probe(x, dataset.train.labels, C=quality.PROBE_C, normalize="l2")
        assert found[name] == probe.accuracy(y, dataset.test.labels)
    assert found["probe"] != found["pixels"]
    text = quality.about(teacher, setting, torch.device("cpu"))
    assert text == (
        f"linear on the test images of folder: effective rank {rank:.1f} of 6, linear probe {found['probe']:.1%}, "
        f"linear probe on pixels {found['pixels']:.1%}"
    )


def test_a_teacher_is_measured_on_every_data_set_that_presets_show_it(monkeypatch, tmp_path, capsys):
    assert [s.data for s in settings_of("efficientnet-lite0")] == ["digits", "photos"]
    assert settings_of("tiny-dino")[0].teacher_training == presets.TINY_DINO
    assert settings_of("random-relu-4") == [Setting("random-relu-4", "digits")]
    how = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3))
    linear = Teacher("linear", lambda x: x.flatten(1), 6, how, False, {})
    asked = []
    monkeypatch.setattr(load, "load_teacher", lambda setting, dataset, *_, **__: asked.append(dataset.name) or linear)
    numbers = dict.fromkeys(("effective_rank", "probe", "pixels"), 0.5)
    monkeypatch.setattr(quality, "quality", lambda teacher, setting, device: numbers)
    assert cli.main(["teacher", "random-relu", "--cache", str(tmp_path), "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"linear on the test images of {data}" for data in ("digits", "photos")
    ]
    assert asked == ["digits", "photos"]
