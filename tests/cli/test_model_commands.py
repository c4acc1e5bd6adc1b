"""`layers` and `audit-model`: from a folder and a file to a table, a page, JSON, features and an exit status."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import repgeom as rg
from repgeom.cli.main import main

sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
os.environ["HF_HUB_OFFLINE"] = "1"

from model_folders import bert_folder, dinov2_folder, image_folder, lines


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    bert_folder(folder / "bert")
    dinov2_folder(folder / "dino")
    image_folder(folder / "images")
    (folder / "lines.txt").write_text("\n".join(lines(120)))
    return folder


@pytest.fixture(autouse=True)
def _inside(here, monkeypatch):
    monkeypatch.chdir(here)


def test_layers_shows_what_auto_takes(capsys):
    assert main(["layers", "bert", "--texts", "lines.txt"]) == 0
    out = capsys.readouterr().out
    assert "* encoder.layer.0" in out
    assert "  encoder " in out
    assert "--all shows them" in out


def test_a_text_model_is_audited_in_one_command(capsys, here):
    files = ["--json", "a.json", "--html", "a.html", "--save-features", "kept"]
    assert main(["audit-model", "bert", "--texts", "lines.txt", *files, "--fail-on", "fail"]) in (0, 1)
    printed = capsys.readouterr()
    assert "encoder.layer.2" in printed.out
    assert "mean of tokens" in printed.out
    assert "by --fail-on fail: output reads" in printed.out
    assert "MB beside the model" in printed.err
    found = json.loads(Path("a.json").read_text())
    assert [one["layer"] for one in found["layers"]][-1] == "output"
    assert "<svg" in Path("a.html").read_text()
    x = np.load("kept/encoder.layer.1.npy")
    report = next(one["report"] for one in found["layers"] if one["layer"] == "encoder.layer.1")
    assert report["measures"]["effective_rank"]["in_these_rows"] == pytest.approx(rg.effective_rank(x), rel=1e-5)


def test_images_and_their_folders(capsys):
    options = ["--layers", "encoder.layer.*", "--pool", "patches", "--labels", "folders", "--json", "-"]
    assert main(["audit-model", "dino", "--images", "images", "--batch-size", "7", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["layer"] for one in found["layers"]] == [f"encoder.layer.{i}" for i in range(3)]
    assert "knn_accuracy" in found["layers"][0]["report"]["measures"]
    assert found["layers"][0]["report"]["convention"]["pool"] == "mean of patches"


def test_a_gate_speaks_of_the_output_or_of_the_layers_that_were_named(capsys, monkeypatch, here):
    (here / "nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def narrow():\n    torch.manual_seed(0)\n    x = lambda t: torch.randn(64, generator=torch.Generator().manual_seed(len(t) * 31 + ord(t[0])))\n"
        "    return nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 1), nn.Linear(1, 64)), lambda items: torch.stack([x(t) for t in items])\n"
    )
    assert main(["audit-model", "nets:narrow", "--texts", "lines.txt", "--fail-on", "fail"]) == 1
    assert "Exit status 1 by --fail-on fail: output reads fail" in capsys.readouterr().out
    assert main(["audit-model", "nets:narrow", "--texts", "lines.txt", "--layers", "0", "--fail-on", "fail"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bert"], "give the model its input"),
        (["bert", "--texts", "lines.txt", "--images", "images"], "one of the two"),
        (["bert", "--images", "images"], "takes texts, and images were given"),
        (["bert", "--texts", "nowhere.txt"], "nowhere.txt"),
        (["nowhere", "--texts", "lines.txt"], "is no folder, no name on the hub"),
        (["bert", "--texts", "lines.txt", "--layers", "encoder.layers.*"], "no layer fits"),
        (["bert", "--texts", "lines.txt", "--batch-size", "0"], "--batch-size takes"),
        (["bert", "--texts", "lines.txt", "--html", "-"], "--html needs the path"),
        (["bert", "--texts", "lines.txt", "--labels", "lines.txt", "--max-samples", "1"], "at least 2"),
    ],
)
def test_errors_are_one_line_and_status_2(arguments, message, capsys):
    assert main(["audit-model", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_model_folder_given_to_audit_is_recognised(capsys):
    assert main(["audit", "bert"]) == 2
    assert "`repgeom audit-model bert --texts FILE`" in capsys.readouterr().err
    import torch

    with pytest.raises(TypeError, match=r"is a model \(Linear\).*layer_profile"):
        rg.audit(torch.nn.Linear(3, 2))
