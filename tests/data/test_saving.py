"""A file is written whole or not at all; links, devices, pipes and open streams are written as what they are."""

import errno
import os
import stat
import threading

import pytest

from repgeom.data.saving import check_writable, write_whole


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_new_file_is_as_readable_as_any_other(here):
    write_whole("new", "σ\n")
    (here / "ordinary").write_text("x")
    assert (here / "new").read_bytes() == "σ\n".encode()
    assert mode("new") == mode("ordinary")
    assert sorted(os.listdir()) == ["new", "ordinary"]


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664, 0o444, 0o755])
def test_a_file_that_is_there_keeps_its_mode_and_is_replaced(here, permissions):
    (here / "old").write_text("old, and longer")
    os.chmod("old", permissions)
    before = os.stat("old")
    write_whole("old", b"new")
    after = os.stat("old")
    assert (here / "old").read_text() == "new"
    assert stat.S_IMODE(after.st_mode) == permissions
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_is_there_keeps_its_owner(here, monkeypatch):
    (here / "old").write_text("old")
    os.chown("old", 1234, 2345)
    write_whole("old", "new")
    assert (os.stat("old").st_uid, os.stat("old").st_gid) == (1234, 2345)

    def refused(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    # One who may not give files away writes into the file that is there.
    monkeypatch.setattr(os, "fchown", refused)
    write_whole("old", "again")
    assert (here / "old").read_text() == "again"
    assert (os.stat("old").st_uid, os.stat("old").st_gid) == (1234, 2345)
    assert os.listdir() == ["old"]


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EROFS])
def test_a_file_that_cannot_be_renamed_over_is_written_into(here, code, monkeypatch):
    def refused(*_):
        raise OSError(code, os.strerror(code))

    (here / "mounted").write_text("old, and longer")
    monkeypatch.setattr(os, "replace", refused)
    write_whole("mounted", "new")
    assert (here / "mounted").read_text() == "new"
    with pytest.raises(OSError, match="unmounted cannot be written: "):
        write_whole("unmounted", "new")
    assert os.listdir() == ["mounted"]


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("link", ["link", "link/to/link"])
def test_a_link_stays_and_what_it_points_to_is_replaced(here, there, link):
    (here / "folder").mkdir()
    if there:
        (here / "folder" / "target").write_text("old")
    os.symlink("folder/target", "first")
    os.symlink("first", "second")
    name = "first" if link == "link" else "second"
    check_writable(name)
    write_whole(name, "new")
    assert os.path.islink(name)
    assert (here / "folder" / "target").read_text() == "new"
    assert not os.path.islink("folder/target")
    assert os.listdir("folder") == ["target"]


@pytest.mark.parametrize("linked", [False, True])
def test_a_fifo_is_written_through_and_stays(here, linked):
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    name = "link" if linked else "pipe"
    check_writable(name)  # opens nothing: nobody reads yet
    content, found = b"x" * 300_000, []
    reader = threading.Thread(target=lambda: found.append((here / "pipe").read_bytes()))
    reader.start()
    write_whole(name, content)
    reader.join()
    assert found == [content]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)
    assert sorted(os.listdir()) == ["link", "pipe"]


def test_a_reader_who_has_gone_away_is_told_apart(here):
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipeError, match=f"/dev/fd/{write} cannot be written: Broken pipe"):
        write_whole(f"/dev/fd/{write}", b"x")
    os.close(write)


def test_devices_are_written_through_and_stay(here):
    before = os.stat("/dev/null")
    for name in ("/dev/null", "/dev/full"):
        check_writable(name)
    write_whole("/dev/null", "x")
    with pytest.raises(OSError, match="/dev/full cannot be written: No space left on device") as raised:
        write_whole("/dev/full", "x")
    assert raised.value.errno == errno.ENOSPC
    after = os.stat("/dev/null")
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("form", ["/dev/fd/{}", "/proc/self/fd/{}", "link"])
def test_an_open_stream_goes_on_where_it_is(here, form):
    handle = os.open("log", os.O_WRONLY | os.O_CREAT)
    os.write(handle, b"before\n")
    name = form.format(handle)
    if form == "link":
        os.symlink(f"/dev/fd/{handle}", name)
    check_writable(name)
    write_whole(name, "report\n")
    os.write(handle, b"after\n")
    os.close(handle)
    assert (here / "log").read_text() == "before\nreport\nafter\n"


def test_standard_streams_are_open_streams(here, capfd):
    os.symlink("/dev/stdout", "link")
    for name in ("/dev/stdout", "/dev/stderr", "link"):
        check_writable(name)
        write_whole(name, f"by {name}\n")
    found = capfd.readouterr()
    assert (found.out, found.err) == ("by /dev/stdout\nby link\n", "by /dev/stderr\n")


# What cannot be written -------------------------------------------------------------------------------------------


def cannot(here):
    os.symlink("itself", "itself")
    (here / "file").write_text("x")
    (here / "folder").mkdir()
    os.symlink("folder", "to-folder")
    os.symlink("nowhere/x", "to-nowhere")
    reading = os.open("file", os.O_RDONLY)
    closed = os.dup(reading)
    os.close(closed)
    return {
        "nowhere/x": "the folder nowhere does not exist",
        "to-nowhere": "does not exist",
        "file/x": "does not exist",
        "folder": "is a folder",
        "to-folder": "is a folder",
        "x" * 300: "File name too long",
        "itself": "Too many levels of symbolic links",
        f"/dev/fd/{closed}": "This stream is closed or for reading",
        f"/dev/fd/{reading}": "This stream is closed or for reading",
    }


def test_what_cannot_be_written_is_said_before_any_work(here):
    for name, words in cannot(here).items():
        before = sorted(os.listdir())
        with pytest.raises((OSError, ValueError), match=words) as raised:
            check_writable(name)
        assert name in str(raised.value)
        with pytest.raises((OSError, ValueError)):
            write_whole(name, "x")
        assert sorted(os.listdir()) == before


@pytest.mark.parametrize("length", [1, 200, 255])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_names_as_long_as_the_system_takes(here, length, letter):
    name = letter * (length // len(letter.encode()))
    check_writable(name or letter)
    write_whole(name or letter, "x")
    write_whole(name or letter, "y")
    assert os.listdir() == [name or letter]


def test_names_and_text_that_are_no_utf8(here):
    name = os.fsdecode(b"\xff\xfe.json")
    check_writable(name)
    write_whole(name, f"{name} σ")
    assert (here / name).read_text(encoding="utf-8") == "\\udcff\\udcfe.json σ"
    write_whole(os.fsencode(name), b"\xff")
    assert (here / name).read_bytes() == b"\xff"


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace", "fchmod", "close"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device"), MemoryError])
@pytest.mark.parametrize("there", [True, False])
def test_whatever_happens_leaves_what_was_there_and_no_half_file(here, step, error, there, monkeypatch):
    if there:
        (here / "report").write_text("old")
    before, real = os.listdir(), getattr(os, step)

    def interrupted(*args):
        real(*args)
        raise error

    if step == "fchmod" and not there:
        return
    with monkeypatch.context() as patch:
        patch.setattr(os, step, interrupted)
        with pytest.raises(error if isinstance(error, type) else OSError):
            write_whole("report", "new")
    assert [name for name in os.listdir() if name.startswith(".")] == []
    if step == "replace":
        assert (here / "report").read_text() == "new"
    else:
        assert os.listdir() == before
        assert not there or (here / "report").read_text() == "old"
