"""What a `.npy` of features may be written to."""

import os

import pytest
import torch
from torch import nn

from repgeom import models


@pytest.mark.parametrize("kind", ["a FIFO", "a link to a device"])
def test_what_is_no_file_is_refused_and_left_alone(kind, tmp_path):
    path = tmp_path / "features.npy"
    if kind == "a FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(os.devnull)
    before = path.stat()
    with pytest.raises(ValueError, match="is no file: a"):
        models.extract_features(nn.Linear(4, 2), [torch.ones(3, 4)], layer="output", out=path)
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mode == before.st_mode
    assert [found.name for found in tmp_path.iterdir()] == ["features.npy"]
