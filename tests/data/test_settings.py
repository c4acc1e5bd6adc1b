"""What a caller has set for his process changes no answer of this package, and is as it was afterwards."""

import contextlib
import functools
import inspect
import random
import threading
import warnings

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from public_calls import CALLS, ELSEWHERE, RECORDS, Rows, copies, images, pixels, plain, public

import repgeom as rg
from repgeom.data.settings import callers_settings, has_own_settings, own_settings


@contextlib.contextmanager
def switched(turn, value, back):
    turn(value)
    try:
        yield
    finally:
        turn(back)


def drawn_from():
    """The random states of the process."""
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002


@contextlib.contextmanager
def seeds_of_another():
    """Seeds of the process: another draw of them changes nothing, and none is drawn from."""
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(12345)
    before = drawn_from()
    yield
    assert drawn_from() == before


@contextlib.contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def pandas_options():
    return pd.option_context("display.precision", 1, "mode.string_storage", "python", "compute.use_bottleneck", False)


SETTINGS = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "default dtype float64": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "default dtype bfloat16": lambda: switched(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default device": lambda: switched(torch.set_default_device, "meta", None),
    "a device as context": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "deterministic algorithms": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "inexact products": lambda: switched(torch.set_float32_matmul_precision, "medium", "highest"),
    "subnormals flushed": lambda: switched(torch.set_flush_denormal, True, False),
    "NumPy's errors raised": lambda: np.errstate(all="raise"),
    "warnings as errors": warnings_as_errors,
    "seeds": seeds_of_another,
    "pandas": pandas_options,
    "matplotlib": lambda: mpl.rc_context({"axes.xmargin": 0.5, "lines.linewidth": 9, "axes.unicode_minus": False}),
    "printing": lambda: np.printoptions(precision=1, legacy="1.25"),
}
# Every function runs inside each group; the quick ones inside each setting too, which says which one it was.
GROUPS = {
    "of the process": [name for name in SETTINGS if not name.startswith(("autocast to float16", "default dtype bf"))],
    "half precision": ["autocast to float16", "default dtype bfloat16"],
}
QUICK = (
    "effective_rank", "spectrum", "estimate", "mutual_knn", "norms", "probes.LinearProbe", "probes.KNNProbe",
    "corruptions.Draws", "robustness.noise_robustness",
)  # fmt: skip


def ordinary(kind=np.asarray):
    x = np.random.default_rng(0).standard_normal((48, 12)).astype(np.float32) + 1
    y = (x + 0.5 * np.random.default_rng(1).standard_normal(x.shape)).astype(np.float32)
    x[0, 0] = 1e-41  # a subnormal number
    return Rows(kind(x), kind(y), np.arange(48) % 3)


def state():
    """All that a call could leave behind in the process."""
    return (
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        5e-324 * float(torch.ones(1, device="cpu")) == 0,
        tuple(np.geterr().items()),
        warnings.filters[:],
        torch.get_num_threads(),
        {key: mpl.rcParams[key] for key in ("axes.xmargin", "svg.fonttype", "svg.hashsalt", "lines.linewidth")},
    )


@pytest.fixture(scope="module")
def outside():
    return {name: plain(call(ordinary())) for name, call in CALLS.items()}


def test_every_public_function_has_a_call_and_every_method_is_in_it():
    assert set(public()) - RECORDS <= set(CALLS) <= set(public()), "give tests/public_calls.py an example"
    for name in CALLS.keys() - RECORDS | {"Report", "Spectrum", "probes.LinearProbe", "probes.KNNProbe"}:
        member, text = public()[name], inspect.getsource(CALLS[name])
        if inspect.isclass(member):
            fields = inspect.get_annotations(member)
            methods = [m for m in list(vars(member)) if not m.startswith("_") and m not in fields]
            missing = [m for m in methods if f".{m}" not in text and f"{name}.{m}" not in ELSEWHERE]
            assert not missing, f"{name}: call {missing} in tests/public_calls.py"


def test_every_public_function_and_class_has_its_own_settings():
    assert [name for name, member in public().items() if not has_own_settings(member)] == []


@contextlib.contextmanager
def inside(*names):
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(SETTINGS[name]())
        before = state()
        yield
        assert state() == before


@pytest.mark.parametrize("group", GROUPS)
def test_every_answer_is_the_same_bit_for_bit(group, outside):
    changed, rows = [], ordinary()
    for name, call in CALLS.items():
        with inside(*GROUPS[group]):
            answer = call(rows)
        if plain(answer) != outside[name]:
            changed.append(name)
    assert changed == []


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_answers_are_the_same_inside_each_setting(setting, kind):
    changed, rows = [], ordinary(kind)
    for name in QUICK:
        expected = quick_outside(name, kind)
        with inside(setting):
            answer = CALLS[name](rows)
        if plain(answer) != expected:
            changed.append(name)
    assert changed == []


@functools.cache
def quick_outside(name, kind):
    return plain(CALLS[name](ordinary(kind)))


def test_settings_are_back_after_an_error():
    with SETTINGS["autocast to bfloat16"](), SETTINGS["inexact products"](), np.errstate(all="raise"):
        before = state()
        with pytest.raises(ValueError, match="non-finite"):
            rg.effective_rank([[np.nan, 1.0], [2.0, 3.0]])
        assert state() == before


def test_gradients_flow_and_are_the_same_inside_autocast():
    def gradient():
        x = torch.from_numpy(ordinary().x).requires_grad_()
        value = rg.effective_rank(x)
        return value, *torch.autograd.grad(value, x)

    expected = gradient()
    with torch.autocast("cpu", torch.bfloat16), torch.device("meta"):
        found = gradient()
    assert plain(list(found)) == plain(list(expected))
    assert float(expected[1].abs().max()) > 0
    x = torch.from_numpy(ordinary().x).double()
    assert torch.allclose(torch.func.grad(rg.participation_ratio)(x), torch.func.grad(rg.participation_ratio)(x))


def test_what_is_fitted_in_inference_mode_can_be_used_for_gradients_later():
    rows = ordinary(torch.from_numpy)
    with torch.inference_mode():
        probe = rg.probes.fit_linear_probe(rows.x, rows.labels, C=1.0)
        acc = rg.SpectrumAccumulator().update(rows.x)
    assert not probe.weight.is_inference()
    acc.update(rows.x)
    assert acc.n_samples == 96
    logits = rows.y.clone().requires_grad_() @ probe.weight.mT
    logits.sum().backward()


# What belongs to the caller runs in his settings ------------------------------------------------------------------------


class Watching:
    """An encoder that notes the settings it is called in."""

    def __init__(self):
        self.seen = []

    def __call__(self, batch):
        self.seen.append(state())
        return pixels(batch)


ENCODED = {
    "corruption_robustness": lambda e: rg.robustness.corruption_robustness(
        e, images(), corruptions="contrast", severities=[1], k=2
    ),
    "noise_robustness": lambda e: rg.robustness.noise_robustness(e, images(), sigmas=[0.1], k=2),
    "compare_robustness": lambda e: rg.robustness.compare_robustness(
        e, e, images(), corruptions="contrast", severities=[1], k=2
    ),
    "fourier_heatmap": lambda e: rg.robustness.fourier_heatmap(e, images(), n_frequencies=3),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize(
    "setting", ["autocast to bfloat16", "inexact products", "NumPy's errors raised", "default device"]
)
def test_an_encoder_runs_in_its_callers_settings(name, setting):
    encoder = Watching()
    with SETTINGS[setting]():
        before = state()
        ENCODED[name](encoder)
    without_gradients = [*before[:4], False, *before[5:]]
    assert encoder.seen
    assert all(list(seen) == without_gradients for seen in encoder.seen)


@pytest.mark.parametrize(
    "setting", ["autocast to bfloat16", "inference mode", "inexact products", "NumPy's errors raised"]
)
def test_a_stream_is_made_in_its_callers_settings(setting):
    rows, seen = ordinary(), []

    def stream():
        for part in np.array_split(rows.x, 4):
            seen.append(state())
            yield part

    expected = rg.audit(stream()).to_dict()
    seen.clear()
    with SETTINGS[setting]():
        before = state()
        found = rg.audit(stream()).to_dict()
    assert seen == [before] * 4
    assert found == expected


def test_a_public_function_in_a_callback_is_guarded_again():
    rows = ordinary()
    expected = rg.effective_rank(rows.x)
    found = []

    def encoder(batch):
        found.append(rg.effective_rank(rows.x))
        return pixels(batch)

    with torch.autocast("cpu", torch.bfloat16):
        ENCODED["noise_robustness"](encoder)
    assert found == [expected] * len(found)
    assert found
    with callers_settings():
        pass  # outside of any call there is nothing to put aside


def test_threads_that_end_at_different_times_keep_products_exact():
    expected = torch.ones(3)
    first_is_in, first_may_go = threading.Event(), threading.Event()

    def stream():
        yield np.eye(6)
        first_is_in.set()
        first_may_go.wait(20)

    other = threading.Thread(target=lambda: rg.audit(stream()))
    torch.set_float32_matmul_precision("medium")
    try:
        other.start()
        first_is_in.wait(20)
        assert rg.effective_rank(np.eye(4)) == pytest.approx(3)
        first_may_go.set()
        other.join()
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert len(expected) == 3


# Copies -------------------------------------------------------------------------------------------------------------


def _made():
    x = ordinary().x
    labels = ordinary().labels
    return {
        "AuditAccumulator": rg.AuditAccumulator().update(x, labels=labels),
        "SpectrumAccumulator": rg.SpectrumAccumulator().update(x),
        "SpectrumAccumulator of qr": rg.SpectrumAccumulator(method="qr").update(x),
        "Draws": rg.corruptions.Draws(0, torch.arange(3), "test"),
        "Report": rg.audit(x, labels=labels),
        "Spectrum": rg.spectrum(x),
        "LinearProbe": rg.probes.fit_linear_probe(x, labels, C=1.0),
        "KNNProbe": rg.probes.fit_knn_probe(x, labels),
    }


USED = {
    "AuditAccumulator": lambda made: plain(made.update(ordinary().x, labels=ordinary().labels).report().to_dict()),
    "SpectrumAccumulator": lambda made: plain(made.update(ordinary().x).spectrum()),
    "Draws": lambda made: plain(made.uniform(5)),
    "Report": lambda made: made.to_json(),
    "Spectrum": lambda made: plain(made.variance_ratio),
    "LinearProbe": lambda made: plain(made.predict(ordinary().x)),
    "KNNProbe": lambda made: plain(made.predict(ordinary().x)),
}


@pytest.mark.parametrize("name", _made())
def test_copies_do_not_share_what_changes(name):
    use = USED[name.split()[0]]
    expected = use(_made()[name])
    made = _made()[name]
    for copied in copies(made):
        # Used twice over, a copy must leave the other copies and the first one as they were.
        assert use(copied) == expected
        use(copied)
    assert use(made) == expected


@pytest.mark.parametrize("name", public())
def test_public_names_survive_pickling_and_keep_their_signature(name):
    member = public()[name]
    assert copies(member)[2] is member
    assert member.__module__.startswith("repgeom.")
    assert inspect.getdoc(member)
    inspect.signature(member)


@own_settings
def arithmetic():
    product = torch.ones(300, 300, device="cpu", dtype=torch.float32) / 3
    return (
        product @ product.mT,
        product.bfloat16() @ product.bfloat16(),
        1e-310 * torch.ones(1).double(),
        torch.zeros(1),
    )


@pytest.mark.parametrize(
    "setting",
    ["inexact products", "subnormals flushed", "autocast to float16", "a device as context", "inference mode"],
)
def test_what_the_guard_puts_aside_one_by_one(setting):
    expected = arithmetic()
    with inside(setting):
        found = arithmetic()
    assert plain(found) == plain(expected)
    assert not any(x.is_inference() for x in found)


def test_a_warning_names_the_callers_line():
    x, y = np.random.default_rng(0).standard_normal((60, 6)), np.arange(60) % 3
    with pytest.warns(UserWarning, match="converged") as caught:
        rg.probes.fit_linear_probe(x, y, C=1.0, max_iter=1)
    assert [w.filename for w in caught] == [__file__]
