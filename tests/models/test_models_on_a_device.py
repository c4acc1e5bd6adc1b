"""Models on a GPU: profiles and features are those of the CPU, wherever the batches lie."""

import numpy as np
import pytest
import torch
from tiny_models import IMAGE, TEXT, images, made, text_batches, texts

from repgeom import models

pytestmark = pytest.mark.gpu


def moved(batch, device):
    if isinstance(batch, dict):
        return {name: values.to(device) for name, values in batch.items()}
    return batch.to(device)


def loader(kind):
    if kind in TEXT:
        return list(text_batches(texts(), 7))
    return list(images().split(9))


@pytest.mark.parametrize("kind", [*TEXT, *IMAGE])
@pytest.mark.parametrize("batches_lie", ["there", "on the CPU"])
def test_a_profile_is_that_of_the_cpu(kind, batches_lie, device):
    make = (TEXT | IMAGE)[kind]
    here = models.layer_profile(made(make), loader(kind))
    batches = [moved(batch, device) for batch in loader(kind)] if batches_lie == "there" else loader(kind)
    there = models.layer_profile(made(make).to(device), batches)
    assert list(there) == list(here)
    for column in ("effective_rank", "mean_cosine", "participation_ratio"):
        np.testing.assert_allclose(there.to_frame()[column], here.to_frame()[column], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["bert", "dinov2"])
def test_features_are_those_of_the_cpu(kind, device, tmp_path):
    make = (TEXT | IMAGE)[kind]
    layer = next(iter(models.layer_profile(made(make), loader(kind))))
    here = models.extract_features(made(make), loader(kind), layer=layer)
    there = models.extract_features(made(make).to(device), loader(kind), layer=layer)
    torch.testing.assert_close(there.cpu(), here, rtol=1e-8, atol=1e-10)
    models.extract_features(made(make).to(device), loader(kind), layer=layer, out=tmp_path / "f.npy")
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), here.numpy(), rtol=1e-6, atol=1e-8)


def test_autocast_reads_in_half_precision(device):
    model, batches = made(IMAGE["dinov2"]).float().to(device), [batch.float() for batch in images().split(9)]
    whole = models.layer_profile(model, batches).to_frame()["effective_rank"]
    half = models.layer_profile(model, batches, autocast=torch.bfloat16).to_frame()["effective_rank"]
    np.testing.assert_allclose(half, whole, rtol=0.1)
