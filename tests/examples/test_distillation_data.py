"""Data, views, stored records and teachers of the experiments: files written here byte by byte, slow definitions, Pillow."""

import copy
import dataclasses
import importlib
import io
import itertools
import json
import math
import os
import pickle
import re
import shlex
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import types
from urllib.error import URLError

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import scipy.ndimage
import torch
from conftest import oracle, photographs
from PIL import Image
from repgeom_examples.distillation import stored
from repgeom_examples.distillation.configs import Setting, TeacherTraining
from repgeom_examples.distillation.data import load as data_load
from repgeom_examples.distillation.data import shapes
from repgeom_examples.distillation.data.cifar import download, load_cifar
from repgeom_examples.distillation.data.digits import load_digits_set
from repgeom_examples.distillation.data.folders import load_folder
from repgeom_examples.distillation.data.images import Images, center_cropped, resized
from repgeom_examples.distillation.data.load import load_dataset
from repgeom_examples.distillation.features import encoded, teacher_features
from repgeom_examples.distillation.teachers import cached, contrastive, measured, pretrained, self_distilled, vit
from repgeom_examples.distillation.teachers.load import load_teacher
from repgeom_examples.distillation.teachers.pretrained import load_clip, load_dinov2
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher, frozen, weights_digest
from repgeom_examples.distillation.views import crop_flip
from sklearn.datasets import load_digits
from torch.nn import functional as F

import repgeom as rg
from repgeom.corruptions.seeds import Draws
from repgeom.robustness.resume import fingerprint

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
TINY = TeacherTraining(n_images=24, epochs=2, batch_size=8, width=16, depth=1, out=12)


def random_images(rng, n, h=32, w=32):
    return torch.tensor(rng.integers(0, 256, (n, 3, h, w), dtype=np.uint8))


def pillow(image, size):
    """One (3, h, w) image by Pillow's bicubic to (height, width)."""
    whole = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
    return torch.tensor(np.array(whole)).permute(2, 0, 1)


# --- images ------------------------------------------------------------------------------------------------------


def contents(rng, kind, h, w):
    if kind == "photograph":
        return photographs(64)[:, :, :h, :w]
    if kind == "shapes":
        return next(shapes.rendered(8, 1))[1][:, :, :h, :w]
    images = random_images(rng, 2, h, w)
    return (images > 127).to(torch.uint8) * 255 if kind == "black and white" else images


@pytest.mark.parametrize(("shape", "size"), [((32, 32), 224), ((30, 20), 16), ((21, 32), 48)])
@pytest.mark.parametrize("kind", ["photograph", "shapes", "noise", "black and white"])
def test_resized_is_within_one_of_pillow(kind, shape, size, rng):
    images = contents(rng, kind, *shape)
    found = resized(images, size)
    assert found.dtype == torch.uint8
    assert min(found.shape[2:]) == size
    expected = torch.stack([pillow(image, tuple(found.shape[2:])) for image in images])
    assert (found.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("h", "w", "size", "expected"), [(20, 30, 40, (40, 60)), (30, 20, 10, (15, 10)), (7, 7, 7, (7, 7))]
)
def test_resized_keeps_the_shape_of_the_image(h, w, size, expected, rng):
    images = random_images(rng, 1, h, w)
    assert resized(images, size).shape[2:] == expected
    assert torch.equal(resized(images, min(h, w)), images)


@pytest.mark.parametrize("shape", [(8, 8), (9, 8), (8, 9), (11, 10), (12, 13)])
@pytest.mark.parametrize("size", [1, 4, 5, 8])
def test_center_crop_is_torchvisions(shape, size):
    image = torch.arange(shape[0] * shape[1]).reshape(1, 1, *shape)
    # torchvision.transforms.functional.center_crop: int(round((image_height - crop_height) / 2.0)), and so for the width.
    top, left = (int(round((n - size) / 2.0)) for n in shape)  # noqa: RUF046
    assert torch.equal(center_cropped(image, size), image[:, :, top : top + size, left : left + size])
    assert center_cropped(image, size).shape[2:] == (size, size)


def test_a_crop_larger_than_the_image_is_not_cut_to_a_corner():
    """torchvision pads; an error would do as well; an 8 × 8 corner of a 32 × 32 image would not."""
    try:
        found = center_cropped(torch.ones(1, 3, 32, 32), 48)
    except ValueError:
        return
    assert found.shape[2:] == (48, 48)


def test_part_is_a_seeded_draw_in_the_old_order(rng):
    images = Images(random_images(rng, 50, 2, 2), torch.arange(50))
    part = images.part(20, seed=3)
    assert part.labels.tolist() == sorted(set(part.labels.tolist()))
    assert torch.equal(part.pixels, images.pixels[part.labels])
    assert part.labels.tolist() != list(range(20))
    assert torch.equal(part.labels, images.part(20, seed=3).labels)
    assert not torch.equal(part.labels, images.part(20, seed=4).labels)
    assert len(images.part(None)) == len(images.part(50)) == len(images.part(51)) == 50


def test_digest_changes_with_any_pixel_label_and_the_shape(rng):
    images = Images(random_images(rng, 4, 2, 6), torch.arange(4))
    pixels, labels = images.pixels.clone(), images.labels.clone()
    pixels[3, 2, 1, 5] ^= 1
    labels[2] = 7
    others = [Images(pixels, images.labels), Images(images.pixels, labels)]
    others += [Images(images.pixels.reshape(4, 3, 6, 2), images.labels), Images(images.pixels[:3], images.labels[:3])]
    assert len({images.digest(), *(other.digest() for other in others)}) == 5
    assert images.digest() == Images(images.pixels.clone(), images.labels.clone()).digest()


# --- CIFAR: the official files, written here ---------------------------------------------------------------------

FOLDERS = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-batches-bin"),
    "cifar100": ("cifar-100-python", "cifar-100-binary"),
}
ARCHIVES = {
    "cifar10": ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"),
    "cifar100": ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz"),
}
NAMES = {"cifar10": [f"thing{i}" for i in range(10)], "cifar100": [f"small_thing{i}" for i in range(100)]}


def python2_pickle(value):
    """Protocol 2 as Python 2 wrote it: text is bytes, and numpy's classes have the names of 2009."""

    def text(s):
        return b"T" + struct.pack("<i", len(s)) + s

    def number(i):
        return b"J" + struct.pack("<i", i)

    def written(v):
        if isinstance(v, np.ndarray):
            start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
            kind = b"cnumpy\ndtype\n" + text(v.dtype.str[1:].encode()) + b"K\x00K\x01\x87R"
            kind += (
                b"(K\x03" + text(b"|" if v.itemsize == 1 else b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            )
            shape = b"(" + b"".join(number(n) for n in v.shape) + b"t"
            return start + b"(K\x01" + shape + kind + b"\x89" + text(v.tobytes()) + b"tb"
        if isinstance(v, dict):
            return b"}(" + b"".join(written(k) + written(x) for k, x in v.items()) + b"u"
        if isinstance(v, list):
            return b"](" + b"".join(map(written, v)) + b"e"
        return number(v) if isinstance(v, int) else text(v.encode())

    return b"\x80\x02" + written(value) + b"."


def cifar_files(name, binary, rng, n_train=4, n_test=3):
    """Content by file name, and what is to be read from it."""
    hundred = name == "cifar100"
    halves = dict.fromkeys(["train"] if hundred else [f"data_batch_{i}" for i in range(1, 6)], n_train)
    halves["test" if hundred else "test_batch"] = n_test
    files, read = {}, []
    for file, n in halves.items():
        pixels, labels = random_images(rng, n), rng.integers(0, len(NAMES[name]), n)
        read.append((pixels, torch.tensor(labels)))
        rows = pixels.flatten(1).numpy()
        if binary:
            before = np.stack([labels // 5, labels] if hundred else [labels], 1).astype(np.uint8)
            files[f"{file}.bin"] = np.concatenate([before, rows], 1).tobytes()
        else:
            content = {"data": rows, "batch_label": "a batch", "filenames": ["x.png"] * n}
            both = {"fine_labels": labels.tolist(), "coarse_labels": (labels // 5).tolist()}
            files[file] = python2_pickle(content | (both if hundred else {"labels": labels.tolist()}))
    lines = ("\n".join(NAMES[name]) + "\n\n").encode()
    if binary:
        files["fine_label_names.txt" if hundred else "batches.meta.txt"] = lines
    elif hundred:
        files["meta"] = python2_pickle({"fine_label_names": NAMES[name], "coarse_label_names": ["a", "b"]})
    else:
        files["batches.meta"] = python2_pickle({"num_vis": 3072, "label_names": NAMES[name]})
    files["readme.html"] = b"<html></html>"
    train = [torch.cat(parts) for parts in zip(*read[:-1], strict=True)]
    return files, (*train, *read[-1])


def write_folder(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder


def write_archive(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read_is(dataset, name, expected):
    assert dataset.name == name
    assert dataset.real
    assert dataset.classes == tuple(NAMES[name])
    found = (dataset.train.pixels, dataset.train.labels, dataset.test.pixels, dataset.test.labels)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert [x.dtype for x in found] == [torch.uint8, torch.int64] * 2


@pytest.mark.parametrize("binary", [False, True], ids=["python", "binary"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_from_folder_archive_and_a_folder_that_holds_either(name, binary, rng, tmp_path):
    files, expected = cifar_files(name, binary, rng)
    folder, archive = FOLDERS[name][binary], ARCHIVES[name][binary]
    places = [write_folder(tmp_path / "a" / folder, files), tmp_path / "a"]
    (tmp_path / "b").mkdir()
    places += [write_archive(tmp_path / "b" / archive, folder, files), tmp_path / "b"]
    places += [write_folder(tmp_path / "c", files), write_archive(tmp_path / "other name.tgz", folder, files)]
    for place in places:
        read_is(load_cifar(name, place), name, expected)
    read_is(load_cifar(name, str(places[0])), name, expected)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_cifar_written_anew_by_python_3(protocol, rng, tmp_path):
    files, expected = cifar_files("cifar100", False, rng)
    again = {f: pickle.dumps(pickle.loads(files[f], encoding="latin1"), protocol) for f in ("train", "test", "meta")}
    read_is(load_cifar("cifar100", write_folder(tmp_path, again)), "cifar100", expected)


def test_cifar_under_the_home_folder(rng, tmp_path, monkeypatch):
    files, expected = cifar_files("cifar100", True, rng)
    write_folder(tmp_path / "data", files)
    monkeypatch.setenv("HOME", str(tmp_path))
    read_is(load_cifar("cifar100", "~/data"), "cifar100", expected)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_no_cifar_says_what_was_looked_for_and_how_to_get_it(name, rng, tmp_path):
    other = {"cifar10": "cifar100", "cifar100": "cifar10"}[name]
    write_folder(tmp_path / FOLDERS[other][0], cifar_files(other, False, rng)[0])
    for place in (tmp_path, tmp_path / FOLDERS[other][0], tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError) as caught:
            load_cifar(name, place)
        message = str(caught.value)
        for part in (
            str(place),
            *FOLDERS[name],
            *ARCHIVES[name],
            f"https://www.cs.toronto.edu/~kriz/{ARCHIVES[name][0]}",
        ):
            assert part in message


def test_the_command_that_helps_can_be_pasted(tmp_path):
    folder = tmp_path / "my data"
    with pytest.raises(FileNotFoundError) as caught:
        load_cifar("cifar10", folder)
    command = re.search(r"curl .*?\.tar\.gz .*?\.tar\.gz|curl .*?\.tar\.gz'? https\S*?\.tar\.gz", str(caught.value))[0]
    assert str(folder / "cifar-10-python.tar.gz") in shlex.split(command)


@pytest.mark.parametrize("binary", [False, True], ids=["python", "binary"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_missing_file_is_named(name, binary, rng, tmp_path):
    files, _ = cifar_files(name, binary, rng)
    first = next(iter(files))
    for i, lost in enumerate(f for f in files if f not in (first, "readme.html")):
        rest = {file: content for file, content in files.items() if file != lost}
        folder = write_folder(tmp_path / str(i), rest)
        with pytest.raises(FileNotFoundError, match=r"is missing.*unpack") as caught:
            load_cifar(name, folder)
        assert str(folder / lost) in str(caught.value)
        archive = write_archive(tmp_path / f"{i}.tar.gz", "x", rest)
        with pytest.raises(ValueError, match=f"it has no {lost}") as caught:
            load_cifar(name, archive)
        assert str(archive) in str(caught.value)
        assert "is not a batch" not in str(caught.value)  # nothing is wrong with a file that is not there


def test_a_python_file_cut_anywhere_is_a_clear_error(rng, tmp_path):
    files, _ = cifar_files("cifar100", False, rng, 1, 1)
    for file in ("train", "test", "meta"):
        whole = len(files[file])
        for n in {*range(0, min(300, whole), 5), *range(300, whole, 499), *range(whole - 5, whole)}:
            write_folder(tmp_path, {**files, file: files[file][:n]})
            with pytest.raises(ValueError, match=f"^{file} is not a batch of CIFAR"):
                load_cifar("cifar100", tmp_path)


@pytest.mark.parametrize("lost", [1, 100, 3072])
def test_a_binary_file_cut_within_an_image(lost, rng, tmp_path):
    files, _ = cifar_files("cifar10", True, rng)
    files["data_batch_4.bin"] = files["data_batch_4.bin"][:-lost]
    with pytest.raises(ValueError, match=rf"data_batch_4.bin has {4 * 3073 - lost:,} bytes.*images of 3073"):
        load_cifar("cifar10", write_folder(tmp_path, files))


def test_an_empty_binary_file(rng, tmp_path):
    files, _ = cifar_files("cifar100", True, rng)
    with pytest.raises(ValueError, match=r"test.bin has 0 bytes"):
        load_cifar("cifar100", write_folder(tmp_path, {**files, "test.bin": b""}))


@pytest.mark.parametrize("binary", [False, True], ids=["python", "binary"])
def test_a_label_without_a_class_is_refused(binary, rng, tmp_path):
    """As in a file of CIFAR-100 under a name of CIFAR-10's, or one with bytes lost in the middle."""
    files, _ = cifar_files("cifar10", binary, rng)
    if binary:
        files["test_batch.bin"] = bytes([200]) + files["test_batch.bin"][1:]
    else:
        content = {"data": random_images(rng, 2).flatten(1).numpy(), "labels": [3, 200]}
        files["test_batch"] = python2_pickle(content)
    with pytest.raises(ValueError, match="test_batch"):
        load_cifar("cifar10", write_folder(tmp_path, files))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"labels": [1, 2]}, "has no data"),
        ({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1, 2]}, "has no labels"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, r"shape \(2, 3072\) and 1 labels"),
        ({"data": np.zeros((2, 3071), np.uint8), "labels": [1, 2]}, r"shape \(2, 3071\)"),
        ({"data": np.zeros((2, 3072), np.float32), "labels": [1, 2]}, "float32"),
        (["data", "labels"], "is not a batch"),
    ],
    ids=["no data", "no labels", "a label too few", "a pixel too few", "float32", "a list"],
)
def test_a_python_file_with_other_content(content, match, rng, tmp_path):
    files, _ = cifar_files("cifar10", False, rng)
    with pytest.raises(ValueError, match=match) as caught:
        load_cifar("cifar10", write_folder(tmp_path, {**files, "data_batch_2": python2_pickle(content)}))
    assert "data_batch_2" in str(caught.value)


def test_names_without_the_names_of_classes(rng, tmp_path):
    files, _ = cifar_files("cifar10", False, rng)
    with pytest.raises(ValueError, match="label_names"):
        load_cifar("cifar10", write_folder(tmp_path, {**files, "batches.meta": python2_pickle({"num_vis": 3072})}))


class Malicious:
    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("asked", [os.mkdir, eval, np.load, np.testing.measure], ids=lambda f: f.__name__)
def test_a_pickle_that_would_run_code_is_refused(asked, protocol, rng, tmp_path):
    arguments = {os.mkdir: str(tmp_path / "ran"), np.load: str(tmp_path / "ran")}.get(
        asked, f"__import__('os').mkdir({str(tmp_path / 'ran')!r})"
    )
    files, _ = cifar_files("cifar10", False, rng)
    files["data_batch_1"] = pickle.dumps({b"data": Malicious(asked, arguments), b"labels": []}, protocol)
    with pytest.raises(ValueError, match=rf"data_batch_1 is not a batch of CIFAR \(it asks for .*{asked.__name__}"):
        load_cifar("cifar10", write_folder(tmp_path / "set", files))
    assert not (tmp_path / "ran").exists()


def test_an_archive_cut_anywhere_is_a_clear_error(rng, tmp_path):
    whole = write_archive(
        tmp_path / "whole.tar.gz", "cifar-100-python", cifar_files("cifar100", False, rng, 2, 2)[0]
    ).read_bytes()
    path = tmp_path / "cifar-100-python.tar.gz"
    for n in [0, 1, 2, 10, 11, *range(12, len(whole) - 8, 499)]:
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"download it again|is not cifar100"):
            load_cifar("cifar100", tmp_path)


def test_an_archive_with_a_flipped_bit_is_a_clear_error_or_reads_as_before(rng, tmp_path):
    """gzip ends with a checksum: an archive must be read to its end for that to be of use."""
    files, expected = cifar_files("cifar100", False, rng, 8, 2)
    whole = write_archive(tmp_path / "whole.tar.gz", "cifar-100-python", files).read_bytes()
    path = tmp_path / "cifar-100-python.tar.gz"
    for at in rng.integers(30, len(whole), 60):  # from behind the name in gzip's head
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            dataset = load_cifar("cifar100", tmp_path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            read_is(dataset, "cifar100", expected)


def test_what_is_no_archive_is_named_on_one_line(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    path.write_text("<html>Proxy error</html>")
    for place in (path, tmp_path):
        with pytest.raises(ValueError, match=r"is not a whole archive.*download it again") as caught:
            load_cifar("cifar10", place)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)  # the command line prints an error as one line


def test_an_archive_of_the_other_set_says_what_it_holds(rng, tmp_path):
    path = write_archive(tmp_path / "c.tar.gz", "cifar-100-python", cifar_files("cifar100", False, rng)[0])
    with pytest.raises(ValueError, match=r"is not cifar10: it has no data_batch_1, but meta, readme.html, test, train"):
        load_cifar("cifar10", path)


# --- download ----------------------------------------------------------------------------------------------------


def fake_torchvision(monkeypatch, **sets):
    datasets = types.SimpleNamespace(**({"CIFAR10": None, "CIFAR100": None} | sets))
    package = types.ModuleType("torchvision")
    package.datasets = datasets
    monkeypatch.setitem(sys.modules, "torchvision", package)


def needs_torchvision(tmp_path):
    with pytest.raises(ModuleNotFoundError, match="needs a working torchvision") as caught:
        download("cifar10", tmp_path)
    assert f"curl --create-dirs -o {tmp_path}/cifar-10-python.tar.gz https://" in str(caught.value)
    return str(caught.value)


def test_download_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    needs_torchvision(tmp_path)


@pytest.mark.parametrize("error", ["RuntimeError", "OSError", "ImportError", "AttributeError"])
def test_download_with_a_torchvision_of_another_torch(error, tmp_path, monkeypatch):
    """RuntimeError at the first import; AttributeError is what a torchvision that is half imported raises."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(f"raise {error}('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "operator torchvision::nms does not exist" in needs_torchvision(tmp_path)


def test_download_without_a_network(tmp_path, monkeypatch):
    def fail(root, *, download):
        raise URLError("no route")

    fake_torchvision(monkeypatch, CIFAR100=fail)
    with pytest.raises(OSError, match=r"cifar100 could not be downloaded \(.*no route.*curl .*cifar-100-python.tar.gz"):
        download("cifar100", tmp_path)


@pytest.mark.parametrize("place", ["data", "~/data"])
def test_what_was_downloaded_is_what_is_read(place, rng, tmp_path, monkeypatch):
    files, expected = cifar_files("cifar10", False, rng)

    def fetch(root, *, download):
        assert download
        write_folder(type(tmp_path)(root) / "cifar-10-batches-py", files)

    fake_torchvision(monkeypatch, CIFAR10=fetch)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    read_is(load_dataset(Setting("clip", "cifar10", data_path=place), downloading=True), "cifar10", expected)


# --- folders of class folders ------------------------------------------------------------------------------------


def save_image(path, color, size=(40, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)


def colored(root, name, n, green):
    """n images of a class, told apart by red; class by green."""
    for i in range(n):
        save_image(root / name / f"{i}.png", (10 * i, green, 0))


def test_folder_with_halves(tmp_path):
    for half, n, blue in (("train", 3, 1), ("test", 2, 2)):
        for green, name in enumerate(("ant", "bee")):
            for i in range(n):
                save_image(tmp_path / half / name / "deeper" / f"{i}.png", (10 * i, 100 * green, blue))
    dataset = load_folder(tmp_path, 16)
    assert dataset.classes == ("ant", "bee")
    for images, n, blue in ((dataset.train, 3, 1), (dataset.test, 2, 2)):
        assert images.labels.tolist() == [0] * n + [1] * n
        assert images.pixels.shape == (2 * n, 3, 16, 16)
        colors = [[10 * i, 100 * green, blue] for green in (0, 1) for i in range(n)]
        assert torch.equal(
            images.pixels, torch.tensor(colors, dtype=torch.uint8)[:, :, None, None].expand(-1, 3, 16, 16)
        )


def test_folder_with_val_in_the_place_of_test(tmp_path):
    for half, n in (("train", 3), ("val", 1)):
        colored(tmp_path / half, "ant", n, 0)
        colored(tmp_path / half, "bee", n, 100)
    dataset = load_folder(tmp_path, 8)
    assert (len(dataset.train), len(dataset.test), dataset.classes) == (6, 2, ("ant", "bee"))


@pytest.mark.parametrize("n", [2, 5, 20])
def test_folder_without_halves_splits_every_class(n, tmp_path):
    colored(tmp_path, "ant", n, 0)
    colored(tmp_path, "bee", n, 100)
    dataset = load_folder(tmp_path, 8, seed=1)
    n_test = {2: 1, 5: 1, 20: 4}[n]  # a fifth, one at least
    assert torch.bincount(dataset.train.labels).tolist() == [n - n_test] * 2
    assert torch.bincount(dataset.test.labels).tolist() == [n_test] * 2
    both = [images.pixels[:, :2, 0, 0] for images in (dataset.train, dataset.test)]
    assert all(
        torch.equal(color[:, 1], 100 * x.labels) for color, x in zip(both, (dataset.train, dataset.test), strict=True)
    )
    seen = sorted(map(tuple, torch.cat(both).tolist()))
    assert seen == sorted((10 * i, green) for i in range(n) for green in (0, 100))
    assert dataset.train.digest() == load_folder(tmp_path, 8, seed=1).train.digest()
    if n == 20:
        assert dataset.train.digest() != load_folder(tmp_path, 8, seed=2).train.digest()


@pytest.mark.parametrize("halves", [("train", "validation"), ("train",), ("training", "test")])
def test_halves_under_other_names_are_not_taken_for_classes(halves, tmp_path):
    """FOLDER/train and FOLDER/validation would pass for a set of two classes, "train" and "validation"."""
    for half in halves:
        colored(tmp_path / half, "ant", 4, 0)
        colored(tmp_path / half, "bee", 4, 100)
    try:
        classes = load_folder(tmp_path, 8).classes
    except (ValueError, FileNotFoundError) as error:
        assert "train" in str(error) and "test" in str(error)  # noqa: PT017, PT018 both readings are right
        return
    assert classes == ("ant", "bee")


def test_pixels_of_a_folder_are_pillows_square_in_the_middle(tmp_path):
    photo = photographs(64)[0, :, :64, :48]
    for name in ("ant", "bee"):
        for half in ("train", "test"):
            (tmp_path / half / name).mkdir(parents=True)
            Image.fromarray(photo.permute(1, 2, 0).numpy()).save(tmp_path / half / name / "a.png")
    found = load_folder(tmp_path, 24).train.pixels[0]
    assert (found.int() - pillow(photo, (32, 24))[:, 4:28].int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("L", 77, (77, 77, 77)),
        ("RGBA", (9, 8, 7, 255), (9, 8, 7)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 128 * 257, (128, 128, 128)),
    ],
)
def test_images_of_other_modes_become_colour(mode, color, expected, tmp_path):
    for half, name in itertools.product(("train", "test"), ("ant", "bee")):
        save_image(tmp_path / half / name / "a.PNG", color, mode=mode)
    assert load_folder(tmp_path, 8).train.pixels[0, :, 4, 4].tolist() == list(expected)


@pytest.mark.filterwarnings("ignore:(Corrupt EXIF|Truncated)")  # Pillow's own, of TIFF
@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "webp", "tiff"])
def test_a_cut_image_is_named(ending, tmp_path, rng):
    path = tmp_path / "train" / "ant" / f"cut.{ending}"
    for half, name in itertools.product(("train", "test"), ("ant", "bee")):
        save_image(tmp_path / half / name / "whole.png", (1, 2, 3))
    Image.fromarray(random_images(rng, 1)[0].permute(1, 2, 0).numpy()).save(path)
    whole = path.read_bytes()
    for n in (0, 1, 20, 30, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match="cannot be read as an image") as caught:
            load_folder(tmp_path, 8)
        assert str(path) in str(caught.value)


def test_folders_that_hold_no_set(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load_folder(tmp_path / "nowhere", 8)
    with pytest.raises(FileNotFoundError, match="no images in class folders"):
        load_folder(tmp_path, 8)
    colored(tmp_path, "ant", 3, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="1 class folder with images"):
        load_folder(tmp_path, 8)
    colored(tmp_path, "bee", 1, 0)
    with pytest.raises(ValueError, match="class bee has one image only"):
        load_folder(tmp_path, 8)


def test_classes_in_one_half_only_are_named(tmp_path):
    for half, names in (("train", "abc"), ("test", "abd")):
        for name in names:
            colored(tmp_path / half, name, 1, 0)
    with pytest.raises(ValueError, match=r"classes only in one half: c, d\."):
        load_folder(tmp_path, 8)


# --- the embedded sets -------------------------------------------------------------------------------------------


def test_digits_are_scikit_learns_scans_in_two_halves():
    dataset = load_digits_set()
    assert (len(dataset.train), len(dataset.test)) == (1198, 599)
    whole = load_digits()
    assert torch.equal(
        torch.bincount(torch.cat([dataset.train.labels, dataset.test.labels])),
        torch.bincount(torch.tensor(whole.target)),
    )
    grey = np.rint(whole.images * (255 / 16)).astype(np.uint8)
    scans = {}
    for image, label in zip(grey, whole.target, strict=True):
        big = resized(torch.tensor(image)[None, None].repeat(1, 3, 1, 1), 32)
        scans.setdefault((big.numpy().tobytes(), int(label)), []).append(label)
    seen = [
        (p.numpy().tobytes(), int(c))
        for half in (dataset.train, dataset.test)
        for p, c in zip(half.pixels, half.labels, strict=True)
    ]
    assert sorted(seen) == sorted(key for key, n in scans.items() for _ in n)
    assert dataset.classes == tuple(str(i) for i in range(10))
    assert dataset.test.digest() == load_digits_set().test.digest() != load_digits_set(1).test.digest()


def scenes_and_images(n, seed=5):
    batches = list(shapes.rendered(n, seed))
    return [scene for scene, _ in batches], torch.cat([pixels for _, pixels in batches])


def test_image_i_is_the_same_whatever_else_is_drawn(monkeypatch):
    _, whole = scenes_and_images(12)
    monkeypatch.setattr(shapes, "BATCH", 5)
    assert torch.equal(scenes_and_images(12)[1], whole)
    assert torch.equal(scenes_and_images(7)[1], whole[:7])
    for i in (0, 4, 11):
        assert torch.equal(shapes.render(shapes.draw_scenes(1, 5, start=i))[0], whole[i])
    assert not torch.equal(scenes_and_images(12, seed=6)[1], whole)
    assert len({image.numpy().tobytes() for image in whole}) == 12


def parsed(text):
    """Objects by place, light and ground, read from the sentence alone."""
    words = text.split()
    assert words[24] == "on"
    assert words[27:] == ["ground"]
    phrases = [words[6 * k : 6 * k + 6] for k in range(4)]
    assert [phrase[0] for phrase in phrases] == ["a"] * 4
    return {place: facts for _, *facts, place in phrases}, words[25], words[26]


def test_captions_say_what_the_scenes_hold():
    assert len(set(shapes.WORDS)) == len(shapes.WORDS)
    scenes = shapes.draw_scenes(200, 9)
    words = shapes.captions(scenes)
    assert words.shape == (200, shapes.CAPTION_WORDS)
    colors, grounds = list(shapes.COLORS), list(shapes.GROUNDS)
    for i, text in enumerate(shapes.caption_text(words)):
        objects, light, ground = parsed(text)
        assert list(objects) == ["top-left", "top-right", "bottom-left", "bottom-right"]
        for k, (size, texture, color, shape) in enumerate(objects.values()):
            assert size == ("small", "large")[scenes.size[i, k]]
            assert texture == shapes.TEXTURES[scenes.texture[i, k]]
            assert color == colors[scenes.color[i, k]]
            assert shape == shapes.SHAPES[scenes.shape[i, k]]
            assert (scenes.radius[i, k] > 5.8) == (size == "large")
        assert [facts[0] for facts in objects.values()].count("large") == 1
        assert light == shapes.LIGHTS[scenes.light[i]]
        assert ground == grounds[scenes.ground[i]]


def test_labels_of_shapes_are_those_of_the_captions():
    n = {"n_train": 150, "n_test": 90}
    coarse, dense = (load_dataset(Setting("tiny-clip", name, **n)) for name in ("shapes10", "shapes100"))
    assert not coarse.real
    assert (len(coarse.classes), len(dense.classes)) == (10, 100)
    for half, seed in (("train", data_load.TRAIN_SEED), ("test", data_load.TEST_SEED)):
        ten, hundred = getattr(coarse, half), getattr(dense, half)
        assert len(ten) == n[f"n_{half}"]
        assert torch.equal(ten.pixels, hundred.pixels)
        texts = shapes.caption_text(shapes.captions(shapes.draw_scenes(len(ten), seed)))
        for text, a, b in zip(texts, ten.labels, hundred.labels, strict=True):
            objects, _, _ = parsed(text)
            left, right = objects["top-left"][3], objects["top-right"][3]
            assert coarse.classes[a] == left
            assert dense.classes[b] == f"{left}, {right}"
    seeds = {data_load.TRAIN_SEED, data_load.TEST_SEED, contrastive.SEED, self_distilled.SEED}
    assert len(seeds) == 4  # no student is measured on what a teacher was trained on


def test_every_value_is_drawn_about_as_often_as_any_other():
    scenes = shapes.draw_scenes(4000, 2)
    for values, n in (
        (scenes.shape, 10),
        (scenes.color, 10),
        (scenes.texture, 3),
        (scenes.ground, 6),
        (scenes.light, 3),
        (scenes.size.argmax(1), 4),
    ):
        counts = torch.bincount(values.flatten(), minlength=n)
        expected = values.numel() / n
        assert len(counts) == n
        assert (counts - expected).abs().max() < 5 * math.sqrt(expected)
    joint = torch.bincount(scenes.shape[:, 0] * 10 + scenes.color[:, 0], minlength=100)
    assert (joint - 40).abs().max() < 5 * math.sqrt(40)  # and shape says nothing of colour


LENS = 0.64 * math.acos((0.25 + 0.64 - 1) / (2 * 0.5 * 0.8)) + math.acos((0.25 + 1 - 0.64) / (2 * 0.5)) - 0.5 * math.sqrt(
    (-0.5 + 1.8) * (0.5 + 1 - 0.8) * (0.5 - 1 + 0.8) * (0.5 + 1.8)
)  # fmt: skip
AREAS = {
    "disc": math.pi,
    "ring": math.pi * (1 - 0.5**2),
    "crescent": math.pi - LENS,
    "square": (2 * 0.88) ** 2,
    "frame": 1.8**2 - 1.0**2,
    "diamond": 2 * 1.15**2,
    "cross": 2 * 0.6 * 2 - 0.6**2,
    "saltire": 2 * 0.6 * 2 - 0.6**2,
    "bar": 2 * 0.8,
}


@pytest.mark.parametrize("shape", AREAS)
def test_objects_cover_the_area_of_their_shape(shape):
    one = shapes.draw_scenes(64, 1)
    zeros = torch.zeros_like(one.shape)
    scenes = dataclasses.replace(
        one, shape=zeros + shapes.SHAPES.index(shape), color=zeros + list(shapes.COLORS).index("white"), texture=zeros,
        radius=zeros + 6.0, ground=zeros[:, 0] + list(shapes.GROUNDS).index("slate"), light=zeros[:, 0],
    )  # fmt: skip
    pixels = shapes.render(scenes)[:, 0].float() / 255
    ground = shapes.GROUNDS["slate"][0]
    cover = (pixels - ground) / (0.97 - ground)
    assert cover.sum((1, 2)).mean() == pytest.approx(4 * AREAS[shape] * 36, rel=0.04)


def test_objects_have_their_colour_and_texture_where_the_caption_puts_them():
    scenes = shapes.draw_scenes(300, 3)
    pixels = shapes.render(scenes)
    palette = 255 * torch.tensor(list(shapes.COLORS.values()))
    solid = [shapes.SHAPES.index(name) for name in ("disc", "square", "diamond", "triangle", "cross", "saltire", "bar")]
    shades = set()
    for i, k in itertools.product(range(300), range(4)):
        if int(scenes.shape[i, k]) in solid:
            x, y = (8 + 16 * (k % 2) + scenes.jitter[i, k, 0], 8 + 16 * (k // 2) + scenes.jitter[i, k, 1])
            seen = pixels[i, :, int(y), int(x)].float()
            of = seen / palette[scenes.color[i, k]]
            shade = 1.0 if abs(of.mean() - 1) < 0.1 else 0.55
            assert torch.allclose(seen, palette[scenes.color[i, k]] * shade, atol=1)
            shades.add((int(scenes.texture[i, k]), shade))
    assert shades == {(0, 1.0), (1, 1.0), (1, 0.55), (2, 1.0), (2, 0.55)}  # plain is never dark, the others both


def test_light_is_even_falls_or_is_grainy():
    scenes = shapes.draw_scenes(200, 4)
    columns = shapes.render(scenes)[:, 0, :, 0].float()
    free = scenes.size[:, [0, 2]].sum(1) == 0  # the large object, which may reach the edge, stands at the right
    assert set(scenes.light[free].tolist()) == {0, 1, 2}
    for column, light in zip(columns[free], scenes.light[free], strict=True):
        if light == 0:
            assert column.std() == 0
        elif light == 1:
            assert (column.diff() <= 0).all()
            assert column[0] > column[-1] + 20
        else:
            assert 0.05 < column.std() / column.mean() < 0.25


# --- by name -----------------------------------------------------------------------------------------------------


def test_data_by_name_says_what_is_wrong(tmp_path):
    with pytest.raises(
        ValueError, match="unknown data 'cifar'; there are cifar10, cifar100, folder, digits, shapes10, shapes100"
    ):
        load_dataset(Setting("clip", "cifar"))
    for name in ("cifar10", "cifar100", "folder"):
        with pytest.raises(ValueError, match=f"{name} needs --data-path"):
            load_dataset(Setting("clip", name))


@pytest.mark.parametrize("name", ["digits", "shapes10", "shapes100"])
def test_a_path_where_none_belongs_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match="path"):
        load_dataset(Setting("clip", name, data_path=str(tmp_path), n_train=4, n_test=4))


def test_as_many_images_as_asked(rng, tmp_path):
    files, expected = cifar_files("cifar10", True, rng)
    dataset = load_dataset(
        Setting("clip", "cifar10", data_path=str(write_folder(tmp_path, files)), n_train=7, n_test=2)
    )
    assert (len(dataset.train), len(dataset.test), dataset.real) == (7, 2, True)
    rows = {(p.numpy().tobytes(), int(c)) for p, c in zip(*expected[:2], strict=True)}
    assert all(
        (p.numpy().tobytes(), int(c)) in rows for p, c in zip(dataset.train.pixels, dataset.train.labels, strict=True)
    )


def test_a_folder_at_the_size_of_the_setting(tmp_path):
    colored(tmp_path, "ant", 5, 0)
    colored(tmp_path, "bee", 5, 100)
    assert load_dataset(Setting("clip", "folder", data_path=str(tmp_path), image_size=20)).test.pixels.shape == (
        2,
        3,
        20,
        20,
    )


# --- views -------------------------------------------------------------------------------------------------------


def slow_view(image, row, view, pad):
    draws = Draws(view, torch.tensor([row]), "crop-flip")
    down, right = draws.below(2 * pad + 1, 2)[0].tolist()
    mirrored = bool(draws.uniform(1)[0, 0] < 0.5)
    padded = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)))
    cut = padded[:, down : down + image.shape[1], right : right + image.shape[2]]
    return torch.tensor(cut[:, :, ::-1].copy() if mirrored else cut.copy())


@pytest.mark.parametrize("shape", [(32, 32), (16, 20), (9, 8)])
@pytest.mark.parametrize("padding", [0, 0.125, 0.3])
def test_views_are_crops_and_flips_one_by_one(shape, padding, rng):
    images, rows = random_images(rng, 12, *shape), torch.tensor(rng.permutation(1000)[:12])
    for view in (0, 3):
        expected = [
            slow_view(image, int(row), view, round(padding * min(shape)))
            for image, row in zip(images, rows, strict=True)
        ]
        found = crop_flip(images, rows, view, padding)
        assert torch.equal(found, torch.stack(expected))
        assert found.is_contiguous()
        assert torch.equal(crop_flip(images[5:6], rows[5:6], view, padding), found[5:6])


def test_every_shift_and_either_hand_is_as_likely():
    n, side = 4050, 8
    image = torch.arange(1, side * side + 1, dtype=torch.uint8).reshape(1, 1, side, side).expand(n, 3, -1, -1)
    found = crop_flip(image, torch.arange(n), 1, 0.125)[:, 0]  # one pixel of padding: 9 shifts, 2 hands
    kinds, counts = np.unique(found.flatten(1).numpy(), axis=0, return_counts=True)
    assert len(kinds) == 18
    assert np.abs(counts - n / 18).max() < 5 * math.sqrt(n / 18)
    assert not torch.equal(found, crop_flip(image, torch.arange(n), 2, 0.125)[:, 0])


# --- stored records ----------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path, rng):
    record = {"é": "σ", "n": [1, 2.5, None], "deep": {"a": True}}
    arrays = {
        "x": torch.tensor(rng.standard_normal((5, 3))),
        "y": torch.arange(4).reshape(2, 2).mT,
        "z": torch.zeros(0),
    }
    stored.save(tmp_path / "a" / "b.c", record, arrays)
    found = stored.load(tmp_path / "a" / "b.c")
    assert found.record == record
    assert set(found.arrays) == {"x", "y", "z"}
    assert all(torch.equal(found.arrays[k], v) and found.arrays[k].dtype == v.dtype for k, v in arrays.items())
    stored.save(tmp_path / "plain", {"k": 1})
    assert stored.load(tmp_path / "plain") == ({"k": 1}, {})
    assert stored.load(tmp_path / "never") is None
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["b.c.json", "b.c.safetensors", "plain.json"]


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_every_flipped_bit_is_noticed(ending, tmp_path, rng):
    path = tmp_path / "r"
    stored.save(path, {"value": 0.123}, {"x": torch.tensor(rng.standard_normal(4))})
    file = path.with_name(f"r{ending}")
    whole = file.read_bytes()
    for at in range(len(whole) - 1):  # the last byte of the record is its end of line
        damaged = bytearray(whole)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        try:
            found = stored.load(path)
        except stored.Damaged as error:
            assert str(file) in str(error)  # noqa: PT017
        else:
            assert ending == ".json"
            assert found.record == {"value": 0.123}  # blank space between the words of the first line
    for n in (0, 1, len(whole) // 2, len(whole) - 2):
        file.write_bytes(whole[:n])
        with pytest.raises(stored.Damaged, match=str(file)):
            stored.load(path)


def test_a_record_without_its_arrays_is_damaged(tmp_path):
    stored.save(tmp_path / "r", {}, {"x": torch.ones(2)})
    (tmp_path / "r.safetensors").unlink()
    with pytest.raises(stored.Damaged, match=r"r.safetensors is missing"):
        stored.load(tmp_path / "r")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_record_that_is_refused_leaves_what_was_there(bad, tmp_path):
    stored.save(tmp_path / "r", {"v": 1}, {"x": torch.ones(2)})
    with pytest.raises(ValueError, match="JSON compliant"):
        stored.save(tmp_path / "r", {"v": bad}, {"x": torch.zeros(2)})
    found = stored.load(tmp_path / "r")
    assert found.record == {"v": 1}
    assert found.arrays["x"].tolist() == [1, 1]


def test_arrays_are_as_readable_as_their_record(tmp_path):
    """A cache may be shared: a record that others may read and arrays that they may not is no use to them."""
    stored.save(tmp_path / "r", {}, {"x": torch.ones(2)})
    modes = {(tmp_path / f"r.{ending}").stat().st_mode & 0o777 for ending in ("json", "safetensors")}
    umask = os.umask(0)
    os.umask(umask)
    assert modes == {0o666 & ~umask}


def test_killed_between_arrays_and_record_nothing_is_there(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    write = stored.write_whole
    with monkeypatch.context() as patch:
        patch.setattr(
            stored, "write_whole", lambda path, data: killed() if isinstance(data, str) else write(path, data)
        )
        with pytest.raises(KeyboardInterrupt):
            stored.save(tmp_path / "r", {}, {"x": torch.ones(2)})
    assert stored.load(tmp_path / "r") is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            stored.save(tmp_path / "s", {}, {"x": torch.ones(2)})
    assert [p.name for p in tmp_path.iterdir()] == ["r.safetensors"]  # and no half file is left


def test_made_once_and_again_where_damaged_or_of_another_recipe(tmp_path, capsys):
    calls = []

    def make():
        calls.append(1)
        return stored.Stored({"n": len(calls)}, {"x": torch.full((3,), float(len(calls)))})

    def made(recipe):
        return stored.made_once(tmp_path / "deep" / "r", recipe, make)

    first = made({"a": (1, 2)})
    assert first.arrays["x"].tolist() == [1, 1, 1]
    again = made({"a": (1, 2)})  # the tuple is a list on disk
    assert (again.record, again.arrays["x"].tolist()) == ({"recipe": {"a": [1, 2]}, "n": 1}, [1, 1, 1])
    assert capsys.readouterr().err == ""
    (tmp_path / "deep" / "r.safetensors").write_bytes(b"x")
    assert made({"a": (1, 2)}).arrays["x"].tolist() == [2, 2, 2]
    message = capsys.readouterr().err
    assert str(tmp_path / "deep" / "r.safetensors") in message
    assert "made again" in message
    assert made({"a": (1, 3)}).record["n"] == 3
    assert made({"a": (1, 3)}).arrays["x"].tolist() == [3, 3, 3]
    assert len(calls) == 3


def test_what_fails_to_be_made_is_not_kept(tmp_path):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stored.made_once(tmp_path / "r", {}, fail)
    assert stored.made_once(tmp_path / "r", {}, lambda: stored.Stored({"n": 1}, {})).record["n"] == 1


def test_many_who_want_the_same_make_it_once(tmp_path):
    calls, found = [], []

    def make():
        calls.append(threading.get_ident())
        return stored.Stored({"by": len(calls)}, {})

    threads = [
        threading.Thread(target=lambda: found.append(stored.made_once(tmp_path / "r", {}, make))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert [f.record["by"] for f in found] == [1] * 8


def test_fingerprint_changes_with_anything():
    recipes = [{}, {"a": 1}, {"a": 2}, {"a": "1"}, {"b": 1}, {"a": {"b": 1}}, {"a": [1]}, {"a": 1.5}, {"a": None}]
    assert len({fingerprint(r) for r in recipes}) == len(recipes)
    assert fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": [2], "a": 1})
    assert {len(fingerprint(r)) for r in recipes} == {12}


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    file = stored.lock_file(tmp_path / "run")
    with stored.locked(tmp_path / "run", owner="of group 7"):
        with (
            pytest.raises(stored.Busy, match=f"^process {os.getpid()} on .* of group 7$"),
            stored.locked(tmp_path / "run", wait=False),
        ):
            pass
        with stored.locked(tmp_path / "other", wait=False):
            pass
    with stored.locked(tmp_path / "run", wait=False):
        assert file.read_text().startswith(f"process {os.getpid()} on ")
        assert "group" not in file.read_text()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); f.write('somebody'); f.flush(); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(stored.Busy, match=r"^somebody$"), stored.locked(tmp_path / "run", wait=False):
            pass
        other.kill()
    with stored.locked(tmp_path / "run", wait=False):
        pass


def test_an_error_within_a_lock_passes_and_frees_it(tmp_path):
    with pytest.raises(BlockingIOError), stored.locked(tmp_path / "run"):
        raise BlockingIOError
    with stored.locked(tmp_path / "run", wait=False):
        pass


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def read_only(**_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(
        OSError, match=r"cannot be written \(Read-only file system\); name another folder with --out"
    ) as caught:
        stored.check_room(tmp_path / "out", 0)
    assert str(tmp_path / "out") in str(caught.value)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("")
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OSError, match="cannot be written"):
            stored.check_room(folder, 0)


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(stored.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1_500_000_000))
    stored.check_room(tmp_path / "new", 1_500_000_000)
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(OSError, match=r"has 1.50 GB free and this run may need 1.60 GB"):
        stored.check_room(tmp_path / "new", 1_600_000_000)


# --- a teacher's features ----------------------------------------------------------------------------------------


def counted(rng, width=5, name="counted", **recipe):
    """A linear teacher of 16 × 16 images, and how many images it has seen."""
    weight = torch.tensor(rng.standard_normal((3 * 16 * 16, width)), dtype=torch.float32)
    seen = []

    def encode(pixels):
        assert not torch.is_grad_enabled()
        seen.append(len(pixels))
        return pixels.flatten(1) @ weight

    how = Preprocessing(16, 16, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return Teacher(name, encode, width, how, pretrained=False, recipe=recipe), seen, weight


def features_of(teacher, images, cache, ticks=None, **view):
    return teacher_features(
        teacher, images, cache, tick=lambda n: ticks.append(n) if ticks is not None else None, **view
    )


def by_hand(images, weight):
    x = (images.double() / 255 - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / torch.tensor([0.2, 0.3, 0.4])[
        :, None, None
    ]
    return x.flatten(1) @ weight.double()


def test_features_are_computed_once(rng, tmp_path):
    teacher, seen, weight = counted(rng)
    images, ticks = Images(random_images(rng, 600, 16, 16), torch.zeros(600).long()), []
    found = features_of(teacher, images, tmp_path, ticks)
    assert sum(seen) == sum(ticks) == 600
    assert max(seen) <= 256
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), by_hand(images.pixels, weight), rtol=1e-5, atol=1e-4)
    assert torch.equal(features_of(teacher, images, tmp_path), found)
    assert sum(seen) == 600


@pytest.mark.parametrize("view", [{}, {"view": 2, "padding": 0.125}])
def test_features_are_the_same_for_any_batch_size(view, rng, tmp_path, monkeypatch):
    teacher, _, weight = counted(rng)
    images = Images(random_images(rng, 50, 16, 16), torch.zeros(50).long())
    whole = features_of(teacher, images, tmp_path / "a", **view)
    monkeypatch.setattr("repgeom_examples.distillation.features.BATCH", 7)
    parts = features_of(teacher, images, tmp_path / "b", **view)
    assert torch.allclose(parts, whole, rtol=1e-5, atol=1e-4)
    seen = (
        images.pixels if not view else torch.stack([slow_view(image, i, 2, 2) for i, image in enumerate(images.pixels)])
    )
    assert torch.allclose(whole.double(), by_hand(seen, weight), rtol=1e-5, atol=1e-4)


def test_damaged_features_are_named_and_made_again(rng, tmp_path, capsys):
    teacher, seen, _ = counted(rng)
    images = Images(random_images(rng, 8, 16, 16), torch.zeros(8).long())
    found = features_of(teacher, images, tmp_path)
    (file,) = tmp_path.rglob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[-3] ^= 16
    file.write_bytes(data)
    capsys.readouterr()
    assert torch.equal(features_of(teacher, images, tmp_path), found)
    assert str(file) in capsys.readouterr().err
    assert sum(seen) == 16
    assert torch.equal(features_of(teacher, images, tmp_path), found)
    assert sum(seen) == 16


def test_recipes_keep_teachers_views_and_images_apart(rng, tmp_path):
    teacher, seen, _ = counted(rng, weights="a")
    other = dataclasses.replace(teacher, recipe={"weights": "b"})
    sized = dataclasses.replace(
        teacher, preprocessing=dataclasses.replace(teacher.preprocessing, mean=(0.5, 0.4, 0.31))
    )
    images, more = (Images(random_images(rng, 8, 16, 16), torch.zeros(8).long()) for _ in range(2))
    asked = [
        (teacher, images, {}), (other, images, {}), (sized, images, {}), (teacher, more, {}), (teacher, Images(images.pixels[:7], images.labels[:7]), {}),
        (teacher, images, {"view": 0, "padding": 0.125}), (teacher, images, {"view": 1, "padding": 0.125}), (teacher, images, {"view": 0, "padding": 0.25}),
    ]  # fmt: skip
    for _ in range(2):
        for t, x, view in asked:
            features_of(t, x, tmp_path, **view)
        assert len(seen) == len(asked)
    assert len(list(tmp_path.rglob("*.safetensors"))) == len(asked)
    record = json.loads(next(tmp_path.rglob("counted-*.json")).read_text().partition("\n")[2])["record"]
    assert record["recipe"]["teacher"]["weights"] in "ab"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused_and_not_kept(bad, rng, tmp_path):
    teacher, _, _ = counted(rng)
    broken = dataclasses.replace(teacher, encode=lambda x: torch.full((len(x), 5), bad))
    images = Images(random_images(rng, 8, 16, 16), torch.zeros(8).long())
    with pytest.raises(ValueError, match="teacher counted returned values that are not finite"):
        features_of(broken, images, tmp_path)
    assert torch.isfinite(features_of(teacher, images, tmp_path)).all()


def test_features_of_a_teacher_in_half_precision_are_float32(rng):
    teacher, _, _ = counted(rng)
    half = dataclasses.replace(teacher, encode=lambda x: torch.ones(len(x), 5, dtype=torch.float16))
    assert encoded(half, torch.zeros(2, 3, 16, 16)).dtype == torch.float32


# --- preprocessing and digests -----------------------------------------------------------------------------------


def test_preprocessing_is_pillow_then_the_middle_then_the_normalisation():
    how = Preprocessing(40, 32, *IMAGENET)
    photos = photographs(64)
    whole = torch.stack([pillow(photo, (40, 40))[:, 4:36, 4:36] for photo in photos])
    assert (how.sized(photos).int() - whole.int()).abs().max() <= 1
    mean, std = (torch.tensor(v).double()[:, None, None] for v in IMAGENET)
    expected = (how.sized(photos).double() / 255 - mean) / std
    assert torch.allclose(how(photos).double(), expected, atol=1e-6)
    unit = how.sized(photos).float() / 255
    assert torch.allclose(how.normalized(unit), how(photos), atol=1e-6)


def test_weights_digest_is_of_names_shapes_kinds_and_values():
    def digest(change=lambda m: m):
        torch.manual_seed(0)
        return weights_digest(change(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))))

    def moved(model):
        model[0].weight.data[3, 3] += 1e-6
        return model

    def counted_on(model):
        model[1].num_batches_tracked += 1
        return model

    changes = [lambda m: m, moved, counted_on, torch.nn.Module.double, lambda m: torch.nn.Sequential(m[1], m[0])]
    assert len({digest(change) for change in changes}) == len(changes)
    assert digest() == digest()


# --- CLIP and DINOv2 ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folders of tiny checkpoints with random weights, and the models that were saved there."""
    import transformers as tr

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("checkpoints")
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    small = {**size, "intermediate_size": 64, "image_size": 32, "patch_size": 8}
    vision = tr.CLIPVisionConfig(**small, projection_dim=24)
    text = {**size, "intermediate_size": 64, "vocab_size": 99}
    whole = tr.CLIPConfig(vision_config=vision.to_dict(), text_config=text, projection_dim=24)
    models = {
        "clip": tr.CLIPVisionModelWithProjection(vision),
        "clip-whole": tr.CLIPModel(whole),
        "clip-half": tr.CLIPVisionModelWithProjection(vision).half(),
        "clip-without-projection": tr.CLIPVisionModel(vision),
        "dinov2": tr.Dinov2Model(tr.Dinov2Config(**size, image_size=32, patch_size=8)),
        "dinov2-224": tr.Dinov2Model(tr.Dinov2Config(**size, image_size=224, patch_size=56)),
        "dinov2-518": tr.Dinov2Model(tr.Dinov2Config(**size, image_size=518, patch_size=74)),
        "dinov2-registers": tr.Dinov2WithRegistersModel(
            tr.Dinov2WithRegistersConfig(**size, image_size=32, patch_size=8)
        ),
    }
    for name, model in models.items():
        for parameter in model.parameters():  # else biases and the class token are all zero
            torch.nn.init.normal_(parameter, std=0.3)
        model.eval().save_pretrained(root / name)
    return root, models


def direct(model, pixels):
    with torch.no_grad():
        if type(model).__name__ == "CLIPModel":
            return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)
        found = model(pixel_values=pixels)
        return found.image_embeds if "image_embeds" in found else found.last_hidden_state[:, 0]


def by_pillow(images, resize, crop, mean, std):
    whole = torch.stack([pillow(image, (resize, resize)) for image in images])
    top = (resize - crop) // 2
    cut = whole[:, :, top : top + crop, top : top + crop].float() / 255
    return (cut - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.mark.parametrize(
    ("load", "name", "resize", "crop", "norm", "width"),
    [
        (load_clip, "clip", 32, 32, CLIP, 24),
        (load_clip, "clip-whole", 32, 32, CLIP, 24),
        (load_dinov2, "dinov2", 32, 32, IMAGENET, 32),
        (load_dinov2, "dinov2-224", 256, 224, IMAGENET, 32),
        (load_dinov2, "dinov2-518", 256, 224, IMAGENET, 32),
    ],
)
def test_features_of_a_checkpoint_are_the_models_own(load, name, resize, crop, norm, width, checkpoints):
    root, models = checkpoints
    teacher = load(str(root / name), "cpu")
    kind = "clip" if load is load_clip else "dinov2"
    assert (teacher.name, teacher.width, teacher.pretrained) == (kind, width, True)
    assert teacher.preprocessing == Preprocessing(resize, crop, *norm)
    if name == "dinov2-518":  # 224 is not a whole number of its patches of 74
        return
    images = photographs(32)
    expected = direct(models[name], by_pillow(images, resize, crop, *norm))
    found = encoded(teacher, teacher.preprocessing(images))
    assert found.shape == (2, width)
    exact = resize == 32  # else pixels may differ by one
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 if exact else 0.02 * float(expected.std()))
    assert torch.dist(found[0], found[1]) > 0.1 * found.norm()  # the two images are told apart


def test_a_checkpoint_is_told_by_its_weights(checkpoints, tmp_path):
    root, models = checkpoints
    models["dinov2"].save_pretrained(tmp_path / "dinov2")
    again = load_dinov2(str(tmp_path / "dinov2"), "cpu")
    assert again.recipe == load_dinov2(str(root / "dinov2"), "cpu").recipe
    recipes = [load_clip(str(root / name), "cpu").recipe for name in ("clip", "clip-whole")]
    assert recipes[0]["weights"] != recipes[1]["weights"]


def test_a_checkpoint_is_frozen_and_in_evaluation(checkpoints):
    import transformers as tr

    dropping = tr.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8, hidden_dropout_prob=0.5,
    )  # fmt: skip
    root, _ = checkpoints
    tr.Dinov2Model(dropping).save_pretrained(root / "dropping")
    teacher = load_dinov2(str(root / "dropping"), "cpu")
    pixels = teacher.preprocessing(photographs(32))
    found = teacher.encode(pixels)
    assert not found.requires_grad
    assert torch.equal(found, teacher.encode(pixels))


PREPROCESSORS = {
    "now": {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}},
    "of old": {"size": 40, "crop_size": 32},
    "square": {"size": {"height": 40, "width": 40}, "crop_size": {"height": 32, "width": 32}},
}


@pytest.mark.parametrize("written", PREPROCESSORS.values(), ids=PREPROCESSORS)
def test_a_checkpoints_own_preprocessing_is_respected(written, checkpoints, tmp_path):
    _, models = checkpoints
    for name, load in (("clip", load_clip), ("dinov2", load_dinov2)):
        models[name].save_pretrained(tmp_path / name)
        own = {**written, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "resample": 3}
        (tmp_path / name / "preprocessor_config.json").write_text(json.dumps(own))
        teacher = load(str(tmp_path / name), "cpu")
        assert teacher.preprocessing == Preprocessing(40, 32, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
        (tmp_path / name / "preprocessor_config.json").write_text("{}")
        assert load(str(tmp_path / name), "cpu").preprocessing == Preprocessing(
            32, 32, *(CLIP if name == "clip" else IMAGENET)
        )


def test_the_preprocessing_that_transformers_5_writes_is_respected(checkpoints, tmp_path):
    """Since version 5 a processor is saved as processor_config.json with its image processor within."""
    _, models = checkpoints
    models["clip"].save_pretrained(tmp_path)
    own = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], **PREPROCESSORS["now"]}
    (tmp_path / "processor_config.json").write_text(
        json.dumps({"image_processor": own, "processor_class": "CLIPProcessor"})
    )
    assert load_clip(str(tmp_path), "cpu").preprocessing == Preprocessing(40, 32, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))


def test_a_damaged_preprocessor_file_is_named(checkpoints, tmp_path):
    _, models = checkpoints
    models["clip"].save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": ')
    with pytest.raises((ValueError, OSError), match=r"preprocessor_config\.json"):
        load_clip(str(tmp_path), "cpu")


def test_a_checkpoint_in_half_precision_is_computed_in_float32(checkpoints):
    """transformers 5 keeps a checkpoint's own dtype unless told; rounding to half is not the teacher's geometry."""
    root, models = checkpoints
    teacher = load_clip(str(root / "clip-half"), "cpu")
    pixels = teacher.preprocessing(photographs(32))
    expected = direct(copy.deepcopy(models["clip-half"]).float(), pixels)
    found = encoded(teacher, pixels)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (load_clip, "clip-without-projection"),
        (load_clip, "dinov2"),
        (load_dinov2, "clip"),
        (load_dinov2, "clip-whole"),
        (load_dinov2, "dinov2-registers"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(load, name, checkpoints):
    """transformers fills in random weights for what a checkpoint lacks, and only warns."""
    root, _ = checkpoints
    with pytest.raises((OSError, ValueError), match=r"another kind|lacks|missing") as caught:
        load(str(root / name), "cpu")
    assert str(root / name) in str(caught.value)


def test_a_folder_without_weights_or_config(checkpoints, tmp_path):
    _, models = checkpoints
    models["dinov2"].save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"it has no weights \(model.safetensors\)\. .*Dinov2Model as M.*save_pretrained"
    ):
        load_dinov2(str(tmp_path), "cpu")
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"it has no config\.json and no weights") as caught:
        load_clip(str(tmp_path), "cpu")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", None], ids=["empty", "pointer", "cut"]
)
def test_weights_that_are_not_whole(content, checkpoints, tmp_path):
    _, models = checkpoints
    models["clip"].save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000] if content is None else content)
    with pytest.raises(OSError, match="could not be loaded as CLIPVisionModelWithProjection") as caught:
        load_clip(str(tmp_path), "cpu")
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(("load", "name"), [(load_clip, None), (load_dinov2, None), (load_clip, "nobody/no-such-clip")])
def test_a_hub_name_without_a_network(load, name, monkeypatch, tmp_path):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    asked = name or (pretrained.CLIP if load is load_clip else pretrained.DINOV2)
    with pytest.raises(
        OSError, match=f"{asked} could not be loaded.*hf download {asked} --local-dir DIR.*--teacher-path DIR"
    ):
        load(name, "cpu")


@pytest.mark.parametrize("name", ["/no/such/folder", "./folder", "~/folder", "folder", "a/b/c"])
def test_neither_a_folder_nor_a_hub_name(name):
    with pytest.raises(FileNotFoundError, match=f"{name} is no folder, and no name on the hub either"):
        load_clip(name, "cpu")


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for load in (load_clip, load_dinov2):
        with pytest.raises(ModuleNotFoundError, match=r"need transformers.*pip install 'repgeom\[distill\]'"):
            load(None, "cpu")


# --- teachers by name --------------------------------------------------------------------------------------------

OUTSIDE = """
import torch
from repgeom_examples.distillation.teachers.teacher import Preprocessing, Teacher
def make(path, device):
    how = Preprocessing(8, 8, (0.0,) * 3, (1.0,) * 3)
    return Teacher("mine", lambda x: x.mean((2, 3)), 3, how, False, {"path": path, "device": str(device)})
def wrong(path, device):
    return torch.nn.Identity()
number = 3
"""


def test_a_teacher_from_outside(tmp_path, monkeypatch, rng):
    (tmp_path / "outside_teachers.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    teacher = load_teacher(Setting("outside_teachers:make", "digits", teacher_path="there"), tmp_path, "cpu")
    assert teacher.recipe == {"path": "there", "device": "cpu"}
    images = Images(random_images(rng, 3, 8, 8), torch.arange(3))
    assert torch.allclose(features_of(teacher, images, tmp_path), images.pixels.float().mean((2, 3)) / 255, atol=1e-5)
    with pytest.raises(TypeError, match="'outside_teachers:wrong' must return a Teacher, it returned Identity"):
        load_teacher(Setting("outside_teachers:wrong", "digits"), tmp_path, "cpu")
    for name, what in (("outside_teachers:nothing", "nothing"), ("no_such_module:make", "no_such_module")):
        with pytest.raises(ValueError, match=f"teacher '{name}' cannot be found: .*{what}"):
            load_teacher(Setting(name, "digits"), tmp_path, "cpu")


def test_teachers_by_name_say_what_is_wrong(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"unknown teacher 'vit'; there are clip, dinov2, tiny-clip, tiny-dino, or package.module:function",
    ):
        load_teacher(Setting("vit", "digits"), tmp_path, "cpu")
    with pytest.raises(ValueError, match="tiny-dino is trained here and has no path"):
        load_teacher(Setting("tiny-dino", "digits", teacher_path="x"), tmp_path, "cpu")


def test_pretrained_teachers_by_name(checkpoints, tmp_path):
    root, _ = checkpoints
    for name in ("clip", "dinov2"):
        assert load_teacher(Setting(name, "digits", teacher_path=str(root / name)), tmp_path, "cpu").name == name


# --- the small teachers: losses, crops, the transformer ----------------------------------------------------------


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_both_ways_is_the_mean_of_two_cross_entropies(rng):
    images, words = rng.standard_normal((6, 5)), 3 * rng.standard_normal((6, 5))
    total = 0.0
    for a, b in ((images, words), (words, images)):
        for i in range(6):
            cosines = [a[i] @ b[j] / np.linalg.norm(a[i]) / np.linalg.norm(b[j]) for j in range(6)]
            total -= np.log(softmax(np.array(cosines) / 0.2)[i])
    found = contrastive.both_ways(torch.tensor(images), torch.tensor(words), 0.2)
    assert float(found) == pytest.approx(total / 12, rel=1e-12)
    assert float(contrastive.both_ways(torch.ones(8, 3), torch.ones(8, 3), 0.1)) == pytest.approx(math.log(8), rel=1e-6)


def test_the_learning_rate_rises_and_falls():
    rates = [contrastive.warm_cosine(step, 100) for step in range(101)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.5 * (1 + math.cos(0.04 * math.pi))])
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-15)
    assert max(rates) <= 1
    assert all(0 < contrastive.warm_cosine(step, n) <= 1 for n in (1, 2, 7) for step in range(n))


def test_centred_is_sinkhorn_and_knopps_for_each_quarter(rng):
    scores = rng.uniform(-0.2, 0.2, (6 * 4, 10))
    expected = np.zeros_like(scores)
    for quarter in range(4):
        told = np.exp(scores[quarter::4] / 0.05)
        for _ in range(3):
            for k in range(10):
                told[:, k] /= told[:, k].sum()
            for i in range(6):
                told[i] /= told[i].sum()
        expected[quarter::4] = told
    found = self_distilled.centred(torch.tensor(scores))
    assert found.numpy() == pytest.approx(expected, rel=1e-9)
    assert found.sum(1).numpy() == pytest.approx(np.ones(24))


def test_distilled_is_cross_entropy_of_other_crops(rng):
    said = [rng.standard_normal((3, 5)) for _ in range(4)]
    told = [softmax(rng.standard_normal((3, 5))) for _ in range(2)]
    terms = []
    for i, j in itertools.product(range(2), range(4)):
        if i != j:
            terms.append(np.mean([-(told[i][r] * np.log(softmax(said[j][r] / 0.1))).sum() for r in range(3)]))
    found = self_distilled.distilled([torch.tensor(s) for s in said], [torch.tensor(t) for t in told])
    assert len(terms) == 6
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-12)


def test_koleo_is_the_log_distance_to_the_nearest(rng):
    rows = rng.standard_normal((9, 4))
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = [min(np.linalg.norm(units[i] - units[j]) for j in range(9) if j != i) for i in range(9)]
    assert float(self_distilled.koleo(torch.tensor(rows))) == pytest.approx(-np.log(nearest).mean(), rel=1e-9)
    assert float(self_distilled.koleo(torch.eye(5) * 3)) == pytest.approx(-math.log(math.sqrt(2)), rel=1e-6)
    same = torch.ones(4, 3, requires_grad=True)
    self_distilled.koleo(same).backward()
    assert torch.isfinite(same.grad).all()


def test_follow_moves_by_the_momentum_and_copies_counts():
    teacher, student = (torch.nn.BatchNorm1d(3) for _ in range(2))
    with torch.no_grad():
        teacher.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        student.weight.copy_(torch.tensor([2.0, 0.0, 3.0]))
    student.num_batches_tracked.fill_(7)
    self_distilled.follow(teacher, student, 0.75)
    assert teacher.weight.tolist() == [1.25, 1.5, 3.0]
    assert int(teacher.num_batches_tracked) == 7
    assert student.weight.tolist() == [2.0, 0.0, 3.0]


@pytest.mark.parametrize(("size", "area"), [(16, (0.7, 1.0)), (12, (0.5, 0.8)), (16, (1.0, 1.0))])
def test_crops_against_scipys_interpolation(size, area, rng):
    images = torch.tensor(rng.standard_normal((5, 3, 16, 16)))
    found = self_distilled.crops(images.float(), size, area, torch.Generator().manual_seed(1))
    draws = torch.rand(5, 12, generator=torch.Generator().manual_seed(1)).numpy()
    for i, d in enumerate(draws):
        side = math.sqrt(area[0] + (area[1] - area[0]) * d[0])  # as a share of the image's
        # In pixels: the crop is side × 16 wide, and lies anywhere within the image.
        left, top = ((1 - side) * 16 * d[k] for k in (1, 2))
        steps = (np.arange(size) + 0.5) * side * 16 / size - 0.5
        for channel, source in enumerate(np.argsort(d[3:6])):
            at = np.meshgrid(top + steps, left + steps, indexing="ij")
            cut = scipy.ndimage.map_coordinates(images[i, source].numpy(), at, order=1, mode="reflect")
            expected = cut * (0.6 + 0.8 * d[6 + channel]) + 0.8 * d[9 + channel] - 0.4
            assert found[i, channel].numpy() == pytest.approx(expected, abs=1e-4)


def test_a_block_is_attention_and_a_perceptron(rng):
    torch.manual_seed(0)
    block = vit.Block(8, heads=2).double()
    tokens = torch.tensor(rng.standard_normal((2, 5, 8)))
    with torch.no_grad():
        qkv = block.qkv(F.layer_norm(tokens, (8,)))
        joined = torch.zeros(2, 5, 8).double()
        for b, head in itertools.product(range(2), range(2)):
            q, k, v = (qkv[b, :, 8 * part + 4 * head : 8 * part + 4 * head + 4].numpy() for part in range(3))
            joined[b, :, 4 * head : 4 * head + 4] = torch.tensor(softmax(q @ k.T / 2) @ v)
        after = tokens + block.out(joined)
        expected = after + block.mlp(F.layer_norm(after, (8,)))
        assert torch.allclose(block(tokens), expected, rtol=1e-10)


def test_tokens_are_in_reading_order_and_other_sizes_have_interpolated_positions():
    torch.manual_seed(0)
    model = vit.VisionTransformer(size=32, width=16, depth=0).eval()
    images = torch.randn(1, 3, 32, 32)
    changed = images.clone()
    changed[:, :, 8:16, 24:32] += 5  # row 1, column 3 of the 4 × 4 grid of patches
    with torch.no_grad():
        moved = (model(images) - model(changed)).norm(dim=2)[0]
        assert model(images).shape == (1, 16, 16)
        assert model(torch.randn(2, 3, 24, 40)).shape == (2, 15, 16)
        positions = model._positions(torch.Size([2, 2]))
    assert int(moved.argmax()) == 1 * 4 + 3
    assert torch.allclose(
        positions, F.avg_pool2d(model.positions, 2), atol=1e-6
    )  # bilinear at half is the mean of four


def test_dinos_embedding_is_the_mean_token_of_each_quarter():
    torch.manual_seed(0)
    encoder = self_distilled.Encoder(TINY).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens = encoder.vit(images).reshape(2, 4, 4, 16)
        quarters = [tokens[:, y : y + 2, x : x + 2].mean((1, 2)) for y in (0, 2) for x in (0, 2)]
        assert torch.allclose(encoder(images), torch.cat(quarters, 1), atol=1e-6)
        head = self_distilled.Head(16)
        scores = head(encoder.quarters(images))
    assert scores.shape == (8, self_distilled.N_PROTOTYPES)
    assert scores.abs().max() <= 1 + 1e-6


# --- the small teachers: training --------------------------------------------------------------------------------

LOADERS = {"tiny-clip": contrastive.load_tiny_clip, "tiny-dino": self_distilled.load_tiny_dino}


@pytest.mark.parametrize("name", LOADERS)
def test_a_small_teacher_is_trained_once_and_repeats_bit_for_bit(name, tmp_path, monkeypatch):
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first = LOADERS[name](TINY, tmp_path / "a", "cpu", False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first.name, first.width, first.pretrained) == (name, 12 if name == "tiny-clip" else 64, False)
    (file,) = (tmp_path / "a" / "teachers").glob("*.json")
    losses = json.loads(file.read_text().partition("\n")[2])["record"]["losses"]
    assert len(losses) == TINY.steps == 6
    assert np.isfinite(losses).all()
    torch.manual_seed(12)
    second = LOADERS[name](TINY, tmp_path / "b", "cpu", False)
    assert second.recipe == first.recipe
    images = next(shapes.rendered(10, 1))[1]
    features = encoded(first, first.preprocessing(images))
    assert features.shape == (10, first.width)
    assert torch.equal(encoded(second, second.preprocessing(images)), features)
    alone = encoded(first, first.preprocessing(images[:1]))
    assert torch.allclose(alone, features[:1], atol=1e-5)  # in evaluation: not of the batch

    def never(*_):
        raise AssertionError("trained again")

    for module in (contrastive, self_distilled):
        monkeypatch.setattr(module, "train", never)
    kept = LOADERS[name](TINY, tmp_path / "a", "cpu", False)
    assert kept.recipe == first.recipe
    assert torch.equal(encoded(kept, kept.preprocessing(images)), features)
    with pytest.raises(AssertionError, match="trained again"):
        LOADERS[name](dataclasses.replace(TINY, seed=1), tmp_path / "a", "cpu", False)


@pytest.mark.parametrize("name", LOADERS)
def test_seeds_give_different_teachers(name, tmp_path):
    one, two = (LOADERS[name](dataclasses.replace(TINY, seed=s), tmp_path, "cpu", False) for s in (0, 1))
    assert one.recipe["weights"] != two.recipe["weights"]
    assert len(list((tmp_path / "teachers").glob("*.safetensors"))) == 2


def test_training_moves_every_weight_and_lowers_the_loss(tmp_path):
    training = dataclasses.replace(TINY, n_images=64, epochs=12, batch_size=32, learning_rate=3e-3, width=32)
    torch.manual_seed(0)
    tower = contrastive.ImageTower(training)
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    losses = list(contrastive.train(tower, training, "cpu"))
    assert losses[0] == pytest.approx(math.log(32), rel=0.2)  # a chance level
    assert np.mean(losses[-4:]) < losses[0] - 0.1
    assert all(not torch.equal(before[name], value) for name, value in tower.state_dict().items())


def test_the_same_weights_are_read_from_the_cache_after_damage(tmp_path, capsys):
    first = contrastive.load_tiny_clip(TINY, tmp_path, "cpu", False)
    (file,) = (tmp_path / "teachers").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    again = contrastive.load_tiny_clip(TINY, tmp_path, "cpu", False)
    assert again.recipe == first.recipe
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_training_that_diverges_says_where_and_is_not_kept(bad, tmp_path):
    def train(model, training, device):
        yield from (1.0, 0.5, bad, 0.1)

    with pytest.raises(FloatingPointError, match=f"training mine diverged at step 3: the loss became {bad}"):
        cached.load_trained("mine", lambda: torch.nn.Flatten(), train, TINY, tmp_path, "cpu", bar=False)
    assert not list(tmp_path.rglob("*.json"))


def test_dino_ends_with_the_moving_average(monkeypatch):
    torch.manual_seed(0)
    encoder = self_distilled.Encoder(TINY)
    teachers = []
    follow = self_distilled.follow
    monkeypatch.setattr(self_distilled, "follow", lambda t, s, m: (follow(t, s, m), teachers.append((t, m))))
    list(self_distilled.train(encoder, TINY, "cpu"))
    teacher, _ = teachers[-1]
    assert all(
        torch.equal(a, b) for a, b in zip(encoder.state_dict().values(), teacher[0].state_dict().values(), strict=True)
    )
    momenta = [m for _, m in teachers]
    assert momenta == sorted(momenta)
    assert 0.97 < momenta[0] < momenta[-1] < 1


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
    found = measured.quality(teacher, setting, torch.device("cpu"))
    features = [encoded(teacher, how(half.pixels)) for half in (dataset.train, dataset.test)]
    pixels = [half.pixels.flatten(1).float() / 255 for half in (dataset.train, dataset.test)]
    rank = oracle(F.normalize(features[1].double()))["effective_rank"]
    assert found["effective_rank"] == pytest.approx(rank, rel=1e-5)
    for name, (x, y) in {"probe": features, "pixels": pixels}.items():
        probe = rg.probes.fit_linear_probe(x, dataset.train.labels, C=measured.PROBE_C, normalize="l2")
        assert found[name] == probe.accuracy(y, dataset.test.labels)
    assert found["probe"] != found["pixels"]
    text = measured.about(teacher, setting, torch.device("cpu"))
    assert text == (
        f"linear on the test images of folder: effective rank {rank:.1f} of 6, linear probe {found['probe']:.1%}, "
        f"linear probe on pixels {found['pixels']:.1%}"
    )


def test_frozen_is_without_gradients_and_in_evaluation():
    model = frozen(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout()), "cpu")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
