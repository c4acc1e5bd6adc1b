"""Every objective against its slow definition, in value and in slope."""

import numpy as np
import pytest
import torch

from repgeom_examples.distillation import (
    configs,
    objectives,
)

from .slow_objectives import slow_cosine, slow_infonce, slow_mse, slow_rank
from .small_runs import SMALL

SLOW = {
    "cosine": lambda s, t, v, c: slow_cosine(s, t),
    "mse": lambda s, t, v, c: slow_mse(s, t),
    "infonce": lambda s, t, v, c: slow_infonce(s, t, c.infonce_temperature),
    "cosine+infonce": lambda s, t, v, c: (
        slow_cosine(s, t) + c.infonce_weight * slow_infonce(s, t, c.infonce_temperature)
    ),
    "cosine+infonce-views": lambda s, t, v, c: (
        slow_cosine(s, t) + c.infonce_weight * slow_infonce(s, v, c.infonce_temperature)
    ),
    "cosine+rank": lambda s, t, v, c: slow_cosine(s, t) + c.rank_weight * max(0, 1 - slow_rank(s) / slow_rank(t)),
}


def test_every_objective_has_a_slow_definition():
    assert {term for name in SLOW for term in name.split("+")} == objectives.TERMS.keys()


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_objectives_are_their_slow_definitions(name, dtype, rng):
    settings = configs.Training(infonce_weight=0.7, infonce_temperature=0.2, rank_weight=3.0)
    flat, full = rng.standard_normal((12, 2)) @ rng.standard_normal((2, 6)), 3 * rng.standard_normal((12, 6)) + 0.5
    for student, teacher in ((flat, full), (full, flat)):
        view = student + 0.3 * rng.standard_normal(student.shape)
        s, t, v = (torch.tensor(x, dtype=dtype) for x in (student, teacher, view))
        s.requires_grad_()
        loss = objectives.objective_of(name, settings)(objectives.Batch(s, t, lambda v=v: v, settings))
        expected = SLOW[name](student.tolist(), teacher.tolist(), view.tolist(), settings)
        assert loss.shape == ()
        assert loss.dtype == dtype
        assert loss.item() == pytest.approx(expected, rel=1e-4 if dtype == torch.float32 else 1e-10)
        loss.backward()
        if dtype == torch.float64:
            assert s.grad.numpy() == pytest.approx(slope(name, student, teacher, view, settings), abs=1e-5)


def slope(name, student, teacher, view, settings, step=1e-6):
    """Central differences of the slow definition; the second view is held."""
    found = np.zeros_like(student)
    for place in np.ndindex(student.shape):
        up, down = student.copy(), student.copy()
        up[place] += step
        down[place] -= step
        high, low = (SLOW[name](x.tolist(), teacher.tolist(), view.tolist(), settings) for x in (up, down))
        found[place] = (high - low) / (2 * step)
    return found


def test_only_the_views_cost_a_second_pass(rng):
    s, t = (torch.tensor(rng.standard_normal((8, 4))) for _ in range(2))
    asked = []

    def view():
        asked.append(1)
        return s

    for name, term in objectives.TERMS.items():
        asked.clear()
        term(objectives.Batch(s, t, view, SMALL))
        assert len(asked) == (name == "infonce-views"), name
