"""What the small teachers are made of: losses, crops and the transformer, against slow definitions."""

import itertools
import math

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch.nn import functional as F

from repgeom_examples.distillation.teachers import contrastive, self_distilled, vit

from ..small_teachers import TINY, softmax


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
