"""The official files of CIFAR, written here byte by byte."""

import io
import struct
import tarfile

import numpy as np
import torch

from .image_files import random_images

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
    assert not dataset.real  # a few images drawn here are not the published files
    assert dataset.classes == tuple(NAMES[name])
    found = (dataset.train.pixels, dataset.train.labels, dataset.test.pixels, dataset.test.labels)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert [x.dtype for x in found] == [torch.uint8, torch.int64] * 2
