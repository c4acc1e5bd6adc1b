"""ImageNet-C-bar's ten and ImageNet-3DCC's two against their scripts' stored outputs, and as corruptions among the others.

`python -m tests.corruptions.bar_scripts FOLDER` compares whole outputs where the scripts are at hand, and stores the parts anew.
"""

import numpy as np
import pytest
import torch
from bar_scripts import BAR, RUNS, SENSOR, SEVERITIES, STORED, STORED_RUNS, of_ours, parts, photographs

import repgeom as rg
from repgeom.corruptions import Draws, apply, corrupt, draw, names, strength

# Single values lie a grey level away: another order of sums carries a whole level below itself before the cut to 8 bits.
NOT_ALWAYS_EQUAL = {"iso_noise", "perlin_noise", "sparkles"}
IMAGES = torch.randint(0, 256, (6, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("run", STORED_RUNS)
@pytest.mark.parametrize("name", BAR + SENSOR)
def test_replayed_draws_give_what_the_script_gave(run, name):
    images = photographs(run)
    with np.load(STORED) as stored:
        theirs = stored[f"{run}/{name}"]
    away = [np.abs(parts(of_ours(name, run, s, images)).astype(int) - theirs[s - 1]) for s in SEVERITIES]
    assert np.max(away) <= (name in NOT_ALWAYS_EQUAL)
    assert np.mean(np.array(away) == 0) >= 0.998


def test_what_is_stored_is_corrupted():
    with np.load(STORED) as stored:
        assert set(stored) == {f"{run}/{name}" for run in STORED_RUNS for name in BAR + SENSOR}
        for run in STORED_RUNS:
            clean = parts(photographs(run))
            for name in BAR + SENSOR:
                away = np.abs(stored[f"{run}/{name}"].astype(int) - clean).mean()
                assert away > 3, name


LEVELS = {  # the paper's csv files
    ("caustic_refraction", "imagenet"): [2.35, 3.2, 4.9, 6.6, 9.15], ("inverse_sparkles", "imagenet"): [1, 2, 4, 9, 10],
    ("sparkles", "imagenet"): [1, 2, 3, 5, 6], ("perlin_noise", "imagenet"): [4.6, 5.2, 5.8, 7.6, 8.8],
    ("blue_noise_sample", "imagenet"): [0.8, 1.6, 2.4, 4, 5.6], ("plasma_noise", "imagenet"): [4.75, 7, 8.5, 9.25, 10],
    ("checkerboard_cutout", "imagenet"): [2, 3, 4, 5, 6], ("cocentric_sine_waves", "imagenet"): [3, 5, 8, 9, 10],
    ("single_frequency_greyscale", "imagenet"): [1, 1.5, 2, 4.5, 5], ("brownish_noise", "imagenet"): [1, 2, 3, 4, 5],
    ("blue_noise_sample", "cifar"): [0.7, 1.4, 2.1, 3.5, 4.2], ("checkerboard_cutout", "cifar"): [1, 2, 3, 4, 5],
    ("inverse_sparkles", "cifar"): [1, 1.5, 2.5, 4.5, 5], ("brownish_noise", "cifar"): [2.5, 4, 5.5, 6.5, 7],
    ("sparkles", "cifar"): [0.7, 3.5, 5.6, 6.3, 7],
}  # fmt: skip


@pytest.mark.parametrize(("name", "table"), LEVELS)
def test_levels_are_the_published_ones(name, table):
    assert [strength(name, s, table)["level"] for s in SEVERITIES] == LEVELS[name, table]


def test_sensors_have_the_published_strengths():
    assert [strength("color_quant", s, "imagenet")["bits"] for s in SEVERITIES] == [5, 4, 3, 2, 1]
    rates, sigmas = zip(*(strength("iso_noise", s, "imagenet").values() for s in SEVERITIES), strict=True)
    assert rates == (25,) * 5
    assert sigmas == pytest.approx([0.056, 0.084, 0.126, 0.182, 0.266])
    assert strength("color_quant", 2.4, "cifar")["bits"] == 4  # bits are whole


def test_families_are_named_and_all_means_the_nineteen():
    assert (len(names()), len(names("imagenet-c-bar")), len(names("imagenet-3dcc"))) == (19, 10, 2)
    assert not set(names()) & set(BAR + SENSOR)
    assert set(names("imagenet-c-bar").values()) == {"extra"}
    with pytest.raises(
        ValueError, match="`family` must be one of imagenet-c, imagenet-c-bar, imagenet-3dcc, got 'cifar'"
    ):
        names("cifar")
    with pytest.raises(ValueError, match="Did you mean 'plasma_noise'"):
        corrupt(IMAGES, "plasma")


@pytest.mark.parametrize("name", BAR + SENSOR)
def test_draws_depend_on_an_images_number_alone(name):
    whole = corrupt(IMAGES, name, 2.5, seed=3)
    order = torch.tensor([4, 1, 5])
    assert torch.equal(corrupt(IMAGES[order], name, 2.5, seed=3, indices=order), whole[order])
    alone = torch.cat([corrupt(IMAGES[i : i + 1], name, 2.5, seed=3, indices=[i]) for i in range(6)])
    assert torch.equal(alone, whole)
    as_floats = corrupt(IMAGES.float() / 255, name, 2.5, seed=3)
    assert torch.equal((as_floats * 255).round().to(torch.uint8), whole)
    params = draw(name, (32, 32), 2.5, indices=range(6), seed=3)
    assert torch.equal(apply(IMAGES, name, params, 2.5), whole)
    if name != "color_quant":
        assert not torch.equal(corrupt(IMAGES, name, 2.5, seed=4), whole)


@pytest.mark.parametrize("side", [8, 9, 20])
@pytest.mark.parametrize("name", BAR + SENSOR)
def test_small_images_and_every_severity(name, side):
    images = IMAGES[..., :side, :side]
    assert torch.equal(corrupt(images, name, 0), images)
    for severity in (1e-3, 0.5, 1, 3.3, 5):
        assert corrupt(images, name, severity).shape == images.shape
    x = (images.float() / 255).requires_grad_()
    corrupt(x, name, 2, quantize=None).sum().backward()
    assert x.grad.isfinite().all()


# Those that fade to nothing; sparkles keep a radius of one pixel, and without a star nothing is seen through it.
@pytest.mark.parametrize("name", sorted({*BAR, *SENSOR} - {"sparkles", "inverse_sparkles"}))
def test_a_severity_near_zero_changes_next_to_nothing(name):
    away = (corrupt(IMAGES, name, 1e-4).int() - IMAGES.int()).abs()
    assert (away <= 2).float().mean() > 0.98


@pytest.mark.parametrize("name", BAR)
def test_images_that_are_not_square_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is defined for square images, got 32 x 24 pixels; crop them first"):
        corrupt(IMAGES[..., :24], name)
    assert corrupt(IMAGES[..., :24], "iso_noise").shape == (6, 3, 32, 24)


def test_our_own_draws_are_spread_as_the_scripts_are():
    n = torch.arange(4000)
    waves = draw("single_frequency_greyscale", (32, 32), 3, indices=n)["frequency"]
    larger, smaller = waves.abs().amax(1), waves.abs().amin(1)
    assert larger.mean() == pytest.approx(np.pi / 2, rel=0.03)  # uniform up to π
    assert (smaller / larger).mean() == pytest.approx(0.5, abs=0.02)
    assert (waves[:, 0].abs() > waves[:, 1].abs()).double().mean() == pytest.approx(0.5, abs=0.04)
    plasma = draw("plasma_noise", (32, 32), 3, indices=n)
    assert [(plasma["iterations"] == k).double().mean().item() for k in (4, 5, 6)] == pytest.approx(
        [1 / 3] * 3, abs=0.04
    )
    assert 0.075 * 32 <= plasma["scale"].min() < plasma["scale"].max() <= 0.2 * 32
    assert plasma["sharpness"].aminmax().min >= 0.5
    for name, shape in (("sparkles", (4000, 5)), ("inverse_sparkles", (4000,))):
        rays = draw(name, (32, 32), 3, indices=n)["rays"]
        assert (rays.shape, int(rays.min()), int(rays.max())) == (shape, 50, 199)
    board = draw("checkerboard_cutout", (32, 32), 3, indices=n)
    assert 3.2 <= board["side"].min() < board["side"].max() <= 8
    assert board["angle"].mean() == pytest.approx(np.pi, rel=0.04)
    slopes = draw("perlin_noise", (32, 32), 3, indices=n[:50])
    assert torch.allclose(slopes["gradient"].square().sum(-1), torch.ones(50, 256, dtype=torch.float64))
    assert torch.equal(slopes["permutation"].sort(1).values, torch.arange(256).expand(50, -1))
    star = draw("inverse_sparkles", (32, 32), 3, indices=n)["centre"]
    assert 8 <= star.min() < star.max() <= 24
    assert not torch.equal(Draws(0, n, "sparkles").uniform64(), Draws(0, n, "inverse_sparkles").uniform64())


def test_a_table_of_a_family_is_made_by_its_name():
    encoder = lambda x: x[:, :, ::8, ::8].flatten(1)  # noqa: E731
    table = rg.robustness.corruption_robustness(encoder, IMAGES, corruptions="imagenet-3dcc", severities=2, k=2)
    assert list(dict.fromkeys(table.corruption)) == ["clean", *SENSOR]
    both = rg.robustness.corruption_robustness(encoder, IMAGES, corruptions=["fog", "sparkles"], severities=2, k=2)
    assert list(dict.fromkeys(both.corruption)) == ["clean", "fog", "sparkles"]
    assert set(RUNS) > set(STORED_RUNS)
