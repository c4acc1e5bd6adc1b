"""The student CNNs."""

import pytest
import torch
from torch import nn

from repgeom_examples.distillation.students import networks


@pytest.mark.parametrize(("width", "count"), [(1, 811_264), (2, 1_405_440), (4, 2_732_032)])
def test_parameters_of_the_papers_students(width, count):
    assert networks.n_parameters(networks.make_student("cnn", width, 512, 0)) == count


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
def test_students_take_any_size_and_depend_on_their_seed_alone(architecture, rng):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = (networks.make_student(architecture, 1, 7, seed) for seed in (3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = networks.make_student(architecture, 1, 7, 3)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for size in (16, 20, 33):
        assert one(torch.rand(2, 3, size, size)).shape == (2, 7)


def test_the_students_forward_pass_is_the_papers():
    student = networks.make_student("cnn", 1, 5, 0).double().train()
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64)
    weights = {name: w.detach() for name, w in student.named_parameters()}
    convolutions = [w for w in weights.values() if w.ndim == 4]
    z = x
    for i, w in enumerate(convolutions):
        z = nn.functional.conv2d(z, w, _bias_of(weights, w), padding=1)
        z = (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        z = z.clamp(min=0)
        if i < 2:
            z = z.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax((3, 5))
    z = z.unflatten(3, (4, 2)).unflatten(2, (4, 2)).mean((3, 5))
    first, second = ((w, _bias_of(weights, w)) for w in weights.values() if w.ndim == 2)
    z = (z.flatten(1) @ first[0].mT + first[1]).clamp(min=0) @ second[0].mT + second[1]
    assert [len(w) for w in convolutions] == [16, 32, 64]
    assert (len(first[0]), len(second[0])) == (512, 5)
    assert student(x).detach().numpy() == pytest.approx(z.numpy(), abs=1e-10)


def _bias_of(weights, weight):
    name = next(n for n, w in weights.items() if w is weight)
    return weights[name.removesuffix("weight") + "bias"]


@pytest.mark.parametrize(("name", "target"), [("cnn-0.5M", 500_000), ("cnn-2M", 2_000_000), ("cnn-8M", 8_000_000)])
def test_parameter_matched_students_are_nearest_of_all_widths(name, target):
    """The counts by the formula of the paper's layers: 9 ab + 3 b of a convolution with its norm, and two linear maps."""

    def count(step, out):
        a, b, c = (round(channels * step / 64) for channels in (16, 32, 64))
        trunk = 9 * (3 * a + a * b + b * c) + 3 * (a + b + c)
        return trunk + 16 * c * 512 + 512 + 512 * out + out

    for out in (384, 512, 1280):
        found = networks.n_parameters(networks.make_student(name, 4, out, 0))
        assert abs(found - target) == min(abs(count(step, out) - target) for step in range(4, 1024))
