"""Any standard output and any name: the audit ends as it found, files are whole, and no name is obeyed."""

import io
import json
import os
import sys
import warnings

import numpy as np
import pytest

from repgeom.cli.main import main

# Names that a terminal, a page, a plot or an encoding could take for something else.
NAMES = [
    "a_$1_$2.npy",
    "$\\frac{$.npy",
    "_hidden.npy",
    "a\nb.npy: 300 samples\n  Verdict: OK for transfer.npy",
    "\x1b[2K\x1b[1A\rVerdict: OK.npy",
    "\x9b2Kc1\u202egnp.npy",
    "<script>alert(1)</script>.npy".replace("/", ""),
    "{{ 7 * 7 }} %s {0}.npy",
    "σ ≈ ∞ 日本 é.npy",
    os.fsdecode(b"\xff\xfe.npy"),
    "x" * 240 + ".npy",
    "-dash.npy",
]


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    return rng.standard_normal((60, 5))


@pytest.fixture
def here(tmp_path, monkeypatch, features):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", features)
    np.save("bad.npy", features[:, :1] * np.arange(1, 6.0))
    return tmp_path


def stream(encoding, errors="strict"):
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)


def written(monkeypatch, encoding, *args, errors="strict"):
    """The status of a command, and what it wrote to standard output of this encoding."""
    out = stream(encoding, errors)
    monkeypatch.setattr(sys, "stdout", out)
    status = main(list(args))
    out.flush()
    return status, out.buffer.getvalue().decode(encoding), out


def test_every_name_is_shown_and_none_is_obeyed(here, features, monkeypatch):
    for name in NAMES:
        with open(name, "wb") as file:
            np.save(file, features)
    labels = [["$\\frac{$", "a\nVerdict: OK", "\x1b[2K"][i % 3] for i in range(len(features))]
    np.save("labels.npy", np.array(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status, out, _ = written(
            monkeypatch,
            "ascii",
            "audit",
            "--labels",
            "labels.npy",
            "--json",
            "r.json",
            "--html",
            "r.html",
            "--",
            *NAMES,
        )
    assert status == 0
    # Nothing moves a cursor, and each audit has the verdict that it was given and no other.
    assert out.isascii()
    assert all(sign.isprintable() or sign == "\n" for sign in out)
    lines = [line.strip() for line in out.splitlines()]
    verdicts = [line for line in lines if line.startswith("Verdict:")]
    assert len(verdicts) == len(NAMES)
    assert sum(line.endswith("samples x 5 features, float64 (centred)") for line in lines) == len(NAMES)
    # The JSON is UTF-8 that any reader takes, and holds the names, of which bytes that are no UTF-8 are spelled out.
    text = (here / "r.json").read_text(encoding="utf-8")
    found = [one["name"] for one in json.loads(text)]
    assert found == [name.encode("utf-8", "backslashreplace").decode() for name in NAMES]
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    page = (here / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("<script") == 1
    assert "7 * 7" in page
    assert all(sign.isprintable() or sign in "\n\t\u2003\xa0" for sign in page)
    assert "\\frac{" in page


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_in_errors_are_one_line(here, capsys, name):
    (here / name).write_bytes(b"this is not an array")
    assert main(["audit", "--", name]) == 2
    assert main(["audit", "--json", "x", "--", name + "nowhere"]) == 2
    with pytest.raises(SystemExit):
        main(["audit", "x.npy", f"--seed={name}"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error: ") == 3
    for line in err.splitlines():
        assert line.isprintable()
        assert not line.lstrip().startswith("Verdict")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "koi8-r", "utf-8", "utf-16"])
@pytest.mark.parametrize("errors", ["strict", "replace"])
def test_every_encoding_gets_the_table_and_the_json(here, monkeypatch, encoding, errors):
    status, out, kept = written(monkeypatch, encoding, "audit", "x.npy", "bad.npy", "--json", "a.json", errors=errors)
    assert status == 0
    assert out.count("Verdict:") == 2
    sign = "×" if encoding in ("latin-1", "cp1252", "utf-8", "utf-16") else "x"
    assert f"60 samples {sign} 5 features" in out
    if encoding == "ascii":
        assert "effective rank (sigma)" in out
    assert "\\u" not in out
    assert "?" not in out
    assert kept.errors == errors
    status, out, _ = written(monkeypatch, encoding, "audit", "x.npy", "bad.npy", "--json", "-", errors=errors)
    assert status == 0
    assert json.loads(out) == json.loads((here / "a.json").read_text(encoding="utf-8"))


def test_files_are_written_before_anything_is_printed(here, monkeypatch):
    seen = []

    class Watched(io.StringIO):
        def write(self, text):
            seen.append(sorted(os.listdir()))
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Watched())
    args = ["audit", "x.npy", "--json", "a.json", "--html", "a.html", "--markdown", "a.md", "--junit", "a.xml"]
    assert main(args) == 0
    assert {"a.json", "a.html", "a.md", "a.xml"} <= set(seen[0])


# Standard output that goes away, is full or closed ---------------------------------------------------------------------


@pytest.fixture
def gone():
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", encoding="utf-8") as out:
        yield out


def printed_to(monkeypatch, out, *args):
    monkeypatch.setattr(sys, "stdout", out)
    return main(["audit", *args])


@pytest.mark.parametrize("more", [[], ["--json", "-"], ["--json", "a.json"]], ids=str)
@pytest.mark.parametrize(("features_name", "status"), [("x.npy", 0), ("bad.npy", 1)])
def test_a_reader_who_goes_away_changes_no_status(here, monkeypatch, capsys, gone, more, features_name, status):
    assert printed_to(monkeypatch, gone, features_name, "--fail-on", "fail", *more) == status
    assert "error" not in capsys.readouterr().err


class Full(io.StringIO):
    encoding = "utf-8"

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_disk_under_standard_output(here, monkeypatch, capsys):
    # The report is nowhere: no verdict was given.
    for more in ([], ["--json", "-"]):
        assert printed_to(monkeypatch, Full(), "bad.npy", "--fail-on", "fail", *more) == 2
        assert "error: standard output cannot be written: No space left on device" in capsys.readouterr().err
    # It is in a file.
    assert printed_to(monkeypatch, Full(), "bad.npy", "--fail-on", "fail", "--json", "a.json") == 1
    assert printed_to(monkeypatch, Full(), "x.npy", "--fail-on", "fail", "--json", "a.json") == 0
    assert "standard output cannot be written" in capsys.readouterr().err


def test_standard_output_that_is_closed(here, monkeypatch, capsys):
    assert printed_to(monkeypatch, None, "x.npy", "--json", "a.json") == 0
    assert json.loads((here / "a.json").read_text())["name"] == "x.npy"
    assert printed_to(monkeypatch, None, "bad.npy", "--fail-on", "fail") == 1
    assert capsys.readouterr().err == "Exit status 1 by --fail-on fail: bad.npy reads fail.\n"


# Files that cannot be written ------------------------------------------------------------------------------------------

RESULTS = ["--json", "--html", "--markdown", "--junit"]


@pytest.mark.parametrize("option", RESULTS)
def test_a_report_that_was_not_written_is_status_2_and_the_others_are_there(here, capsys, option):
    others = [word for other in RESULTS if other != option for word in (other, f"a{other}")]
    assert main(["audit", "bad.npy", "--fail-on", "fail", option, "/dev/full", *others]) == 2
    out, err = capsys.readouterr()
    assert err == "repgeom: error: /dev/full cannot be written: No space left on device.\n"
    assert "Verdict: FAIL" in out
    assert all((here / f"a{other}").stat().st_size for other in RESULTS if other != option)


@pytest.mark.parametrize("error", [RuntimeError("no fonts"), MemoryError(), UserWarning("made an error")], ids=repr)
def test_a_page_that_cannot_be_made_is_status_2_and_the_rest_is_there(here, monkeypatch, capsys, error):
    def broken(*_):
        raise error

    monkeypatch.setattr("repgeom.presenting.page.charts_of", broken)
    assert main(["audit", "bad.npy", "--fail-on", "fail", "--html", "a.html", "--json", "a.json"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("repgeom: error: a.html was not written: ")
    assert err.count("\n") == 1
    assert "Verdict: FAIL" in out
    assert (here / "a.json").exists()
    assert not (here / "a.html").exists()


@pytest.mark.parametrize("option", RESULTS)
def test_no_result_takes_the_place_of_what_is_read_or_of_another(here, capsys, option):
    os.symlink("x.npy", "link")
    before = (here / "x.npy").read_bytes()
    for path in ("x.npy", "./x.npy", "link"):
        for read in (["x.npy"], ["bad.npy", "--reference", "x.npy"]):
            assert main(["audit", *read, option, path]) == 2
            assert "which is read; name another file" in capsys.readouterr().err
    other = RESULTS[RESULTS.index(option) - 1]
    assert main(["audit", "x.npy", option, "new", other, "./new"]) == 2
    assert "another result; name another file" in capsys.readouterr().err
    assert (here / "x.npy").read_bytes() == before
    assert main(["audit", "x.npy", option, "/dev/null", other, "/dev/null"]) == 0
