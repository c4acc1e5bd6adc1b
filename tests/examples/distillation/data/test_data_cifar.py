"""CIFAR-10 and CIFAR-100 from files that are written here byte by byte, whole and damaged."""

import os
import pickle
import re
import shlex

import numpy as np
import pytest

from repgeom_examples.distillation.data.cifar import load_cifar

from ..cifar_files import ARCHIVES, FOLDERS, cifar_files, python2_pickle, read_is, write_archive, write_folder
from ..image_files import random_images


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
