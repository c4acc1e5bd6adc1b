"""The command line as a user has it, with a real checkpoint's format and real files."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import oracle
from torch import nn

from repgeom_examples.distillation import cli

from ..slow_objectives import slow_infonce
from ..small_runs import contents


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
    assert "clip-cifar10: checkpoint tiny (24 features" in printed
    assert (
        "images by the name of cifar10 that are not the published files, 10 classes, 64 to train, 64 to test" in printed
    )
    assert f"repgeom-distill report {out}" in printed
    assert "9 of 9 models, 2 seeds (1, 2)" in printed
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
    assert {f"v{version}-figure{number}.png" for version in (1, 2) for number in (1, 2, 3)} <= set(written)
    table = pd.read_csv(tmp_path / "report" / "table1.csv").set_index("model")
    ranks = [found[f"clip-cifar10--cnn-w1-cosine-s{seed}"][0]["effective_rank"] for seed in (1, 2)]
    assert table.loc["cnn-w1-cosine", "effective rank"] == pytest.approx(sum(ranks) / 2, rel=1e-6)
    assert table.loc["cnn-w1-cosine", "parameters"] == 811_264 - 512 * 513 + 24 * 513
    assert table.loc["teacher", "effective rank"] == pytest.approx(teacher["effective_rank"], rel=1e-6)
