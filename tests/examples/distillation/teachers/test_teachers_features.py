"""A teacher that is known by files of its features only."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from repgeom_examples.distillation import cli
from repgeom_examples.distillation.running.preparing import Place, described, prepare
from repgeom_examples.distillation.settings.configs import Config, Setting, Training
from repgeom_examples.distillation.stored import plain

from ..small_runs import configured, contents, one_line

N_TRAIN, N_TEST = 48, 40
SMALL = Config("small", (), training=Training(batch_size=16))


def write(folder, rng, n_train=N_TRAIN, n_test=N_TEST, width=12, mean=0.0):
    """Files of two kinds, and what they hold."""
    rows = [(rng.standard_normal((n, width)) + mean).astype(np.float32) for n in (n_train, n_test)]
    np.save(folder / "train.npy", rows[0])
    save_file({"features": rows[1]}, folder / "test.safetensors")
    return (str(folder / "train.npy"), str(folder / "test.safetensors")), rows


def setting_of(files, **other):
    how = {"n_train": N_TRAIN, "n_test": N_TEST, "student_input": "native", **other}
    return Setting("features", "digits", teacher_features=files, **how)


def prepared(setting, folder):
    return prepare(setting, SMALL, Place(folder / "out", folder / "cache", torch.device("cpu"), bar=False))


def test_rows_are_the_teachers_features(tmp_path, rng):
    files, (train, test) = write(tmp_path, rng)
    p = prepared(setting_of(files), tmp_path)
    assert np.array_equal(p.targets[0].numpy(), train)
    assert np.array_equal(p.teacher_test.numpy(), test)
    assert (p.teacher.encode, p.teacher.width, p.augmented) == (None, 12, [])
    # Students see the images at their own size, normalised by those to train on.
    seen = p.teacher.preprocessing(p.dataset.train.pixels)
    assert seen.shape == p.dataset.train.pixels.shape
    assert seen.mean((0, 2, 3)).abs().max() < 1e-5
    assert (seen.std((0, 2, 3)) - 1).abs().max() < 1e-3
    other, _ = write(tmp_path, rng)
    assert prepared(setting_of(other), tmp_path).teacher.recipe != p.teacher.recipe


def test_a_transform_is_fitted_on_the_rows_to_train_on(tmp_path, rng):
    files, (train, test) = write(tmp_path, rng, mean=1.0)
    p = prepared(setting_of(files, teacher_transform="center"), tmp_path)
    units = [x.astype(np.float64) / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, test)]
    assert np.allclose(p.targets[0].numpy(), units[0] - units[0].mean(0), atol=1e-6)
    assert np.allclose(p.teacher_test.numpy(), units[1] - units[0].mean(0), atol=1e-6)
    assert described(p)["transform"] == "center"


def test_a_teacher_in_a_narrow_cone_is_warned_of(tmp_path, rng, capsys):
    files, (train, _) = write(tmp_path, rng, mean=20.0)
    about = described(prepared(setting_of(files), tmp_path))
    units = train.astype(np.float64) / np.linalg.norm(train, axis=1, keepdims=True)
    cosines = (units @ units.T)[~np.eye(N_TRAIN, dtype=bool)]
    assert about["mean_cosine"] == pytest.approx(cosines.mean(), rel=1e-6)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"repgeom-distill: warning: {about['warning']}\n"
    assert "features-digits's features have a mean cosine of 0.99" in err
    assert described(prepared(setting_of(files, teacher_transform="center"), tmp_path))["warning"] is None
    assert capsys.readouterr().err == ""


def test_what_does_not_fit_the_images_is_refused(tmp_path, rng):
    files, (train, _) = write(tmp_path, rng)
    for change, message in (
        ({"n_train": 47}, r"train\.npy has 48 rows and the data 47 images to train on; .* --n-train takes a part"),
        ({"n_train": None}, r"train\.npy has 48 rows and the data 1,198 images to train on"),
        ({"n_test": None}, r"test\.safetensors has 40 rows and the data 599 images to test on"),
        ({"augmented": True}, "--augmented needs the teacher's features of crops"),
        ({"teacher_features": None}, "needs its files: --teacher-features TRAIN TEST"),
        ({"teacher": "random-relu"}, "--teacher-features goes with --teacher features, not with random-relu"),
    ):
        with pytest.raises(ValueError, match=message):
            prepared(dataclasses.replace(setting_of(files), **change), tmp_path)
    narrow = str(tmp_path / "narrow.npy")
    np.save(narrow, train[:N_TEST, :5])
    with pytest.raises(
        ValueError, match=r"train\.npy has 12 features and .*narrow\.npy has 5; both must be of one model"
    ):
        prepared(setting_of((files[0], narrow)), tmp_path)
    train[7, 3] = np.inf
    np.save(files[0], train)
    with pytest.raises(ValueError, match=r"train\.npy has values that are not finite; the first is in row 7"):
        prepared(setting_of(files), tmp_path)
    train[7] = 0
    np.save(files[0], train)
    with pytest.raises(
        ValueError, match=r"train\.npy has 1 row of zeros only, without a direction; the first is row 7"
    ):
        prepared(setting_of(files), tmp_path)


def test_its_students_meet_noise_and_it_does_not(tmp_path, rng, capsys):
    files, _ = write(tmp_path, rng)
    line = (
        f"run --data digits --n-train {N_TRAIN} --n-test {N_TEST} --widths 1 --objectives cosine --seeds 1 --epochs 1"
    )
    line += f" --batch-size 16 --device cpu --quiet --out {tmp_path / 'small'} --cache {tmp_path / 'cache'}"
    assert cli.main([*line.split(), "--teacher-features", *files]) == 0, capsys.readouterr().err
    found = contents(tmp_path / "small")
    noisy = {
        name.partition("--")[2]: [key for key in record if key.startswith("accuracy/")]
        for name, (record, _) in found.items()
    }
    assert noisy["teacher"] == []
    assert len(noisy["cnn-w1-cosine-s1"]) == 8
    assert found["features-digits--teacher"][0]["accuracy"] >= 0
    assert cli.main(["run", "--data", "digits", "--teacher-features", *files, "--out", str(Path(tmp_path) / "x")]) == 2


def test_files_of_features_are_a_teacher_of_ones_own():
    config = configured("--data", "digits", "--teacher-features", "a.npy", "b.csv", "--teacher-transform", "cone=0.7")
    expected = Setting("features", "digits", teacher_features=("a.npy", "b.csv"), teacher_transform="cone=0.7")
    assert config.settings == (expected,)
    assert Config.from_dict(plain(config.to_dict())) == config


def test_a_transform_that_is_not_there_is_refused_before_anything_is_loaded(tmp_path, capsys):
    line = ["run", "--teacher", "random-relu", "--data", "digits", "--teacher-transform", "tilt"]
    assert cli.main([*line, "--out", str(tmp_path / "x"), "--cache", str(tmp_path)]) == 2
    assert "unknown teacher transform 'tilt'; there are none, center, whiten, cone=C" in one_line(capsys)
    assert not (tmp_path / "x").exists()
