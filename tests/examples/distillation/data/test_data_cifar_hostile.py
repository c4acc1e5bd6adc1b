"""Pickles and archives of CIFAR that would crash, hang or fill the memory, and files that are not the published ones."""

import gzip
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from repgeom_examples.distillation.data import cifar, cifar_published
from repgeom_examples.distillation.data.cifar import load_cifar

from ..cifar_files import cifar_files, python2_pickle, write_archive, write_folder

PIXELS = np.zeros((2, 3072), np.uint8)
CONTENT = PIXELS.tobytes()


def text(value):
    return b"T" + struct.pack("<i", len(value)) + value


def number(value):
    return b"J" + struct.pack("<i", value)


def array(*, code=b"u1", order=b"|", flags=0, shape=(2, 3072), content=CONTENT, module=b"numpy.core.multiarray"):
    """An array as CIFAR's files hold it, each part of it of one's own."""
    start = b"c" + module + b"\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + text(code) + b"K\x00K\x01\x87R(K\x03" + text(order) + b"NNN" + number(-1) * 2
    dtype += number(flags) + b"tb"
    return start + b"(K\x01(" + b"".join(map(number, shape)) + b"t" + dtype + b"\x89" + text(content) + b"tb"


def batch(data=array(), labels=b"](K\x00K\x01e"):  # noqa: B008, it gives bytes
    return b"\x80\x02}(" + text(b"data") + data + text(b"labels") + labels + b"u."


def called(module, name, *arguments):
    return b"c" + module + b"\n" + name + b"\n(" + b"".join(arguments) + b"tR"


UNICODE = b"X" + struct.pack("<I", 40_000) + b"a" * 40_000
SIZE = b"\x8a\x08" + struct.pack("<q", 10**7)
HOSTILE = {
    "objects": (batch(array(code=b"O8")), "it holds objects"),
    "objects by their flags": (batch(array(code=b"O8", flags=0), text(PIXELS.tobytes())), "it holds objects"),
    "flags": (batch(array(flags=63)), "a dtype with the state"),
    "big-endian": (batch(array(order=b">")), "a dtype with the state"),
    "records": (batch(array(code=b"V8")), "values of kind 'V8'"),
    "a long dtype": (batch(array(code=b"(100000000,)f8")), "values of kind"),
    "text": (batch(array(code=b"S1")), "values of kind 'S1'"),
    "complex": (batch(array(code=b"c8")), "values of kind 'c8'"),
    "too many values": (batch(array(shape=(10**7, 10**7))), r"6,144 bytes for an array of shape \(10000000, 10000000\)"),
    "fewer values": (batch(array(shape=(1, 3072))), "6,144 bytes for an array of shape"),
    "negative shape": (batch(array(shape=(-2, -3072))), "an array of shape"),
    "three axes": (batch(array(shape=(2, 3, 1024))), "an array of shape"),
    "an empty array": (batch(called(b"numpy", b"ndarray")), "its data are a NoneType"),
    "an unfilled array": (batch(called(b"numpy.core.multiarray", b"_reconstruct", b"NNN")), "an array without values"),
    "zeros": (batch(called(b"numpy", b"ndarray", b"(", SIZE, SIZE, b"t")), "damaged"),
    "f2py": (batch(called(b"numpy.f2py.__main__", b"dtype")), "asks for numpy.f2py.__main__.dtype"),
    "numpy.loads": (batch(called(b"numpy", b"load", text(b"x"))), "asks for numpy.load"),
    "punycode": (batch(called(b"_codecs", b"encode", UNICODE, text(b"punycode"))), "encodes text"),
    "encoded again and again": (
        batch(b"](" + UNICODE + b"q\x01" + called(b"_codecs", b"encode", b"h\x01", text(b"latin1")) * 99 + b"e"),
        "encodes text",
    ),
    "a list in itself": (batch(b"]q\x01h\x01a"), "its data are a list"),
    "tuples in tuples": (b"\x80\x02}(N" + b"\x85" * 100_000 + b"K\x01u.", "as a key"),
    "a memo far away": (b"\x80\x02}r\xff\xff\xff\xff.", "has no data"),
    "an extension": (b"\x80\x02\x82\x01.", "the operation EXT1"),
    "an object": (b"\x80\x02(i__main__\nX\n.", "the operation INST"),
    "a call of a value": (b"\x80\x02K\x01)R.", "calls what is no function"),
    "no end": (b"\x80\x02}", "pickle"),
    "a long without end": (b"\x80\x02\x8b\xff\xff\xff\x7f1", "is not a batch"),
    "text without end": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60), "is not a batch"),
    "operations without end": (b"\x80\x02" + b"N0" * 1_100_000 + b".", "more than 2,000,000 operations"),
}  # fmt: skip
LABELS = {
    "negative": b"](" + number(-1) + b"K\x00e",
    "a fraction": b"](G" + struct.pack(">d", 0.7) + b"K\x00e",
    "two axes": array(code=b"i8", order=b"<", shape=(2, 1), content=bytes(16)),
    "huge": b"](\x8a\x09" + b"\xff" * 8 + b"\x00K\x00e",
    "a class too many": b"](K\x0aK\x00e",
    "bool": b"](\x88\x89e",
    "text": text(b"ab"),
    "none": b"N",
    "lists": b"](]]e",
}


def refused(tmp_path, rng, content, match):
    files, _ = cifar_files("cifar10", False, rng)
    folder = write_folder(tmp_path, {**files, "data_batch_3": content})
    with pytest.raises(ValueError, match=match) as caught:
        load_cifar("cifar10", folder)
    assert "data_batch_3" in str(caught.value)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_pickle_is_refused(kind, rng, tmp_path):
    refused(tmp_path, rng, *HOSTILE[kind])


@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_are_none(kind, rng, tmp_path):
    refused(tmp_path, rng, batch(labels=LABELS[kind]), "label")


def test_labels_in_an_array_are_read(rng, tmp_path):
    files, _ = cifar_files("cifar10", False, rng)
    files["test_batch"] = batch(labels=array(code=b"i8", order=b"<", shape=(2,), content=np.array([3, 7]).tobytes()))
    assert load_cifar("cifar10", write_folder(tmp_path, files)).test.labels.tolist() == [3, 7]


def test_flipped_bytes_of_a_pickle_are_refused_or_read(rng, tmp_path):
    files, _ = cifar_files("cifar100", False, rng, 1, 1)
    folder, whole = write_folder(tmp_path, files), files["train"]
    for _ in range(300):
        damaged = bytearray(whole)
        at = rng.choice([*range(150), *range(len(whole) - 200, len(whole))], 2)
        damaged[at[0]], damaged[at[1]] = rng.integers(0, 256, 2)
        (folder / "train").write_bytes(damaged)
        try:
            load_cifar("cifar100", folder)
        except ValueError as error:
            assert "train" in str(error) or "label" in str(error)  # noqa: PT017


def archive_of(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, size in members:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(bytes(size)))
    return file.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
def test_an_archive_of_zeros_without_end(zipped, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MOST_BYTES", 1 << 20)
    content = bytes(1 << 22)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(
        ValueError, match=r"cifar-10-python\.tar\.gz is not a whole archive \(it has more than 1,048,576 bytes"
    ):
        load_cifar("cifar10", tmp_path)


def test_an_archive_in_another_compression_is_not_decompressed(tmp_path):
    import lzma

    (tmp_path / "x.tar.gz").write_bytes(lzma.compress(archive_of([("data_batch_1", 10)])))
    with pytest.raises(ValueError, match="is not a whole archive"):
        load_cifar("cifar10", tmp_path / "x.tar.gz")


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([(f"{i}", 0) for i in range(2000)], "more than CIFAR's archives do"),
        ([("a/train", 5), ("b/train", 5)], "two files named train"),
    ],
)
def test_an_archive_with_other_members(members, reason, tmp_path):
    (tmp_path / "x.tar").write_bytes(archive_of(members))
    with pytest.raises(ValueError, match=reason):
        load_cifar("cifar100", tmp_path / "x.tar")


def test_files_are_real_where_their_sums_are_the_published_ones(rng, tmp_path, monkeypatch):
    files, _ = cifar_files("cifar10", False, rng)
    folder = write_folder(tmp_path / "set", files)
    sums = {file: cifar_published.md5(content) for file, content in files.items() if file != "readme.html"}
    assert not load_cifar("cifar10", folder).real
    monkeypatch.setitem(cifar_published.FILE_SUMS, "cifar10", sums)
    assert load_cifar("cifar10", folder).real
    assert load_cifar("cifar10", write_archive(tmp_path / "again.tar.gz", "x", files)).real
    (folder / "data_batch_2").write_bytes(
        files["data_batch_2"][:-1] + b"N0."
    )  # two operations more, and the same images
    assert not load_cifar("cifar10", folder).real


@pytest.mark.parametrize("binary", [False, True])
def test_an_archive_is_real_where_its_sum_is_the_published_one(binary, rng, tmp_path, monkeypatch):
    files, _ = cifar_files("cifar100", binary, rng)
    path = write_archive(tmp_path / "x.tar.gz", "x", files)
    assert not load_cifar("cifar100", path).real
    monkeypatch.setitem(cifar_published.ARCHIVE_SUMS, "cifar100", (cifar_published.md5(path.read_bytes()),))
    assert load_cifar("cifar100", path).real
    assert not load_cifar("cifar100", write_folder(tmp_path / "out", files)).real or not binary


def test_python_2_and_3_write_what_is_read(rng, tmp_path):
    """The published files are of Python 2; each protocol of Python 3 is read too, with its names for NumPy's parts."""
    for protocol in (0, 1, 2, 3, 4):
        pickle.dumps(PIXELS, protocol)
    files, _ = cifar_files("cifar10", False, rng)
    files["test_batch"] = pickle.dumps({"data": PIXELS, "labels": [1, 2]}, 2)
    assert load_cifar("cifar10", write_folder(tmp_path, files)).test.labels.tolist() == [1, 2]
    files["test_batch"] = python2_pickle({"data": PIXELS, "labels": [1, 2]})
    assert load_cifar("cifar10", write_folder(tmp_path, files)).test.labels.tolist() == [1, 2]
