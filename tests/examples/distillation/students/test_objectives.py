"""Every term of the objectives against its slow definition, in value and in slope, and the sums that names stand for."""

import numpy as np
import pytest
import torch

from repgeom_examples.distillation.settings import configs
from repgeom_examples.distillation.students import objectives, terms

from ..slow_objectives import SLOW, Case
from ..small_runs import SMALL, batch_of

TRAINING = configs.Training(infonce_weight=0.7, infonce_temperature=0.2, rank_weight=3.0)


def test_every_term_has_a_slow_definition():
    assert SLOW.keys() == objectives.TERMS.keys()


def planted(rng, flat_student):
    """Eight images of ten: a student of two dimensions and a teacher of six, or the other way round, none of them centred."""
    rows = rng.permutation(10)[:8]
    flat, full = rng.standard_normal((10, 2)) @ rng.standard_normal((2, 6)), 3 * rng.standard_normal((10, 6)) + 0.5
    # Of less than 10 % of the variance: the smallest directions of the teacher are below the cut of the whitening.
    full[:, 0] = full[:, 1] + 0.1 * full[:, 0]
    student, bank = (flat[rows], full) if flat_student else (full[rows], flat + 0.01 * full)
    return student, bank, rows, student + 0.3 * rng.standard_normal(student.shape)


@pytest.mark.parametrize("name", [*objectives.TERMS, "mse+infonce", "cosine+rank", "cosine+crd@weight=0.3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("flat_student", [True, False])
def test_objectives_are_their_slow_definitions(name, dtype, flat_student, rng):
    student, bank, rows, view = planted(rng, flat_student)
    s = torch.tensor(student, dtype=dtype, requires_grad=True)
    v = torch.tensor(view, dtype=dtype)
    batch = batch_of(s, torch.tensor(bank, dtype=dtype), torch.tensor(rows), lambda: v, TRAINING)
    loss = objectives.objective_of(name, TRAINING)(batch)

    def slow(z):
        case = Case(z.tolist(), bank[rows].tolist(), view.tolist(), bank.tolist(), rows.tolist(), TRAINING)
        first, *others = name.partition("@")[0].split("+")
        weight = 0.3 if "@" in name else TRAINING.weight_of(others[0]) if others else 0
        return SLOW[first](case) + sum(weight * SLOW[other](case) for other in others)

    assert loss.shape == ()
    assert loss.dtype == dtype
    assert loss.item() == pytest.approx(slow(student), rel=1e-4 if dtype == torch.float32 else 1e-10)
    loss.backward()
    if dtype == torch.float64:
        assert s.grad.numpy() == pytest.approx(slope(slow, student), abs=1e-5, rel=1e-5)


def slope(function, at, step=1e-6):
    """Central differences."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[place] += step
        down[place] -= step
        found[place] = (function(up) - function(down)) / (2 * step)
    return found


def test_only_the_views_cost_a_second_pass(rng):
    s, t = (torch.tensor(rng.standard_normal((8, 4))) for _ in range(2))
    asked = []

    def view():
        asked.append(1)
        return s

    for name, term in objectives.TERMS.items():
        asked.clear()
        term(batch_of(s, t, torch.arange(8), view, SMALL))
        assert len(asked) == (name == "infonce-views"), name


@pytest.mark.parametrize("name", ["cosine", "mse", "centered-cosine", "whitened-mse", "rkd-distance", "rkd-angle"])
def test_what_follows_the_teacher_is_nothing_where_it_is_the_teacher(name, rng):
    t = torch.tensor(rng.standard_normal((8, 4)) + 1)
    assert float(objectives.TERMS[name](batch_of(t, t, torch.arange(8)))) == pytest.approx(0, abs=1e-12)
    other = batch_of(t.flip(0), t, torch.arange(8))
    assert float(objectives.TERMS[name](other)) > 0.01


@pytest.mark.parametrize("name", sorted({*objectives.TERMS} - {"rank"}))
def test_images_that_are_there_twice_leave_slopes_finite(name, rng):
    s, t = (torch.tensor(rng.standard_normal((8, 4)), dtype=torch.float32) for _ in range(2))
    s[1], t[1] = s[0], t[0]
    for student in (s, torch.ones(8, 4)):
        z = student.clone().requires_grad_()
        objectives.TERMS[name](batch_of(z, t, torch.arange(8), lambda z=z: z)).backward()
        assert torch.isfinite(z.grad).all()


def test_crd_draws_so_many_others_and_never_the_image_itself(rng, monkeypatch):
    monkeypatch.setattr(terms, "CRD_NEGATIVES", 6)
    s, t = (torch.tensor(rng.standard_normal((40, 4))) for _ in range(2))
    found = terms.crd(batch_of(s, t, torch.arange(40), training=TRAINING))
    chosen = torch.randint(40, (6,), generator=torch.Generator().manual_seed(0)).tolist()
    u, v = (torch.nn.functional.normalize(x) for x in (s, t))
    cosines, between = (u @ v.mT / 0.2).exp(), (v @ v.mT / 0.2).exp()
    z = (between.sum() - between.trace()) / (40 * 39)
    h = (cosines / (cosines + 6 * z)).numpy()
    own = [-np.log(h[i, i]) for i in range(40)]
    others = [-sum(np.log(1 - h[i, j]) for j in chosen if j != i) for i in range(40)]
    assert any(i in chosen for i in range(40))
    assert float(found) == pytest.approx(np.mean(np.add(own, others)), rel=1e-10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cosine@weight=0.5", "has one term; @weight="),
        ("mse@temperature=0.1", "has no temperature; infonce, infonce-views, crd have one"),
        ("cosine+infonce@epochs=0", "epochs must be at least 1, got 0"),
        ("cosine+infonce@epochs=1.5", "@epochs= of an objective needs a whole number, got '1.5'"),
        ("cosine+infonce@weight=nan", "@weight= of an objective needs a number of at least 0, got nan"),
        ("cosine+infonce@weight=-1", "@weight= of an objective needs a number of at least 0, got -1"),
        ("cosine+infonce@temperature=inf", "infonce temperature must be a number above 0, got inf"),
        ("cosine+infonce@temperature=0.1@temperature=0.2", "@temperature= is there twice"),
        ("cosine+cosine", "has cosine twice"),
        ("cosine+", r"objective 'cosine\+' lacks a term"),
        ("cosine@size=1", "unknown setting @size=1"),
    ],
)
def test_names_that_say_nothing_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        objectives.objective_of(name, TRAINING)


def test_settings_behind_a_name_are_those_of_its_training():
    made = objectives.objective_of("cosine+infonce+rank@weight=0.5@temperature=0.3@epochs=7", TRAINING)
    assert [weight for weight, _ in made.terms] == [1, 0.5, 0.5]
    assert (made.training.infonce_temperature, made.training.epochs) == (0.3, 7)
    assert [weight for weight, _ in objectives.objective_of("infonce+rank+mse", TRAINING).terms] == [1, 3.0, 1]
