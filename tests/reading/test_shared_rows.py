"""Two processes that give the same rows, or each its own; what is not as they say is an error in both."""

import json
import re

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import repgeom as rg
from repgeom.reading.shared_rows import mode_of

COUNTS = (900, 1000)
ALL = sum(COUNTS)


def rows(n=ALL, width=12, seed=0):
    """Rows whose second half lies along other directions, so that no part of them reads as the whole."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width))
    x[: n // 2, : width // 2] *= 0.1
    x[n // 2 :, width // 2 :] *= 0.1
    return x


def given():
    x, rng = rows(), np.random.default_rng(1)
    return x, {
        "reference": x @ rng.standard_normal((12, 8)),
        "corrupted": x + 0.01 * rng.standard_normal(x.shape),
        "labels": np.arange(len(x)) // 2,
        "groups": np.array([f"clip {i // 5}" for i in range(len(x))]),
    }


def own(rank, values):
    return np.split(values, [COUNTS[0]])[rank]


# Each process's own arguments by its rank, and what the error says in both.
REFUSED = {
    "same, own rows": (lambda r: {"features": own(r, rows()), "distributed": True}, "900 x 12 float64 in process 0 and 1,000 x"),
    "same, own equal lengths": (
        lambda r: {"features": rows()[r :: 2], "distributed": "same"},
        "in both processes 0 and 1, with other values or in another order",
    ),
    "same, another order": (
        lambda r: {"features": rows()[:: 1 - 2 * r], "distributed": "same"},
        "with other values or in another order",
    ),
    "same, one value": (
        lambda r: {"features": rows() + np.where(np.arange(1900)[:, None] == 950 + 3 * r, 1, 0), "distributed": True},
        "with other values or in another order",
    ),
    "same, another type": (
        lambda r: {"features": rows().astype([np.float64, np.float32][r]), "distributed": True},
        "1,900 x 12 float64 in process 0 and 1,900 x 12 float32 in process 1",
    ),
    "same, other labels": (
        lambda r: {"features": rows(), "labels": (np.arange(1900) + r) % 7, "distributed": True},
        "`labels` is 1,900 x numbers in both processes 0 and 1",
    ),
    "same, other reference": (
        lambda r: {"features": rows(), "reference": rows(seed=r), "distributed": True},
        "`reference` is 1,900 x 12 float64 in both",
    ),
    "same, only one has labels": (
        lambda r: {"features": rows(), "distributed": True} | ({"labels": np.arange(1900) % 7} if r else {}),
        "process 0 gives features and process 1 features, labels",
    ),
    "own, the same rows": (lambda r: {"features": rows(), "distributed": "own"}, "which would count twice"),
    "own, another width": (
        lambda r: {"features": own(r, rows())[:, : 12 - r], "distributed": "own"},
        "900 x 12 float64 in process 0 and 1,000 x 11 float64 in process 1",
    ),
    "own, another type": (
        lambda r: {"features": own(r, rows()).astype([np.float32, np.float64][r]), "distributed": "own"},
        "rows of one set have one width and one type",
    ),
    "own, numbers and text": (
        lambda r: {"features": own(r, rows()), "labels": np.arange(COUNTS[r]).astype([int, str][r]) , "distributed": "own"},
        "`labels` is 900 x numbers in process 0 and 1,000 x text in process 1",
    ),
    "own, no rows": (
        lambda r: {"features": rows()[: 500 * r], "distributed": "own"},
        "has 0 rows (shape (0, 12)) and needs at least 2",
    ),
    "own, labels of all": (
        lambda r: {"features": own(r, rows()), "labels": np.arange(1900) % 7, "distributed": "own"},
        "`labels` has 1,900 entries and `features`",
    ),
}  # fmt: skip


def together(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    x, beside = given()
    mine = {name: own(rank, values) for name, values in beside.items()}
    found = {
        "own": rg.audit(own(rank, x), **mine, distributed="own").to_json(),
        "files": rg.audit(folder / f"mine-{rank}.npy", checkpoint=folder / "kept", distributed="own").to_json(),
        "same": rg.audit(x, **beside, distributed="same").to_json(),
        "true": rg.audit(x, **beside, distributed=True).to_json(),
    }
    holed = own(rank, x).copy()
    holed[5 * rank] = np.nan
    found["dropped"] = rg.audit(holed, drop_nonfinite=True, distributed="own").to_json()
    for name, (arguments, _) in REFUSED.items():
        try:
            rg.audit(**arguments(rank))
            found[name] = "nothing"
        except ValueError as error:
            found[name] = str(error)
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    for rank in (0, 1):
        np.save(folder / f"mine-{rank}.npy", own(rank, rows()).astype(np.float32))
    mp.spawn(together, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


def measures_of(text):
    report = json.loads(text)
    found = {name: value["value"] for name, value in report["measures"].items() if value["value"] is not None}
    return found | {"n": report["n_samples"]}


@pytest.mark.parametrize("mode", ["own", "same", "true", "files", "dropped"])
def test_the_report_is_that_of_all_rows_in_one_process(told, mode):
    x, beside = given()
    if mode == "files":
        x, beside = x.astype(np.float32), {}
    options = {}
    if mode == "dropped":
        x, beside, options = x.copy(), {}, {"drop_nonfinite": True}
        x[[0, COUNTS[0] + 5]] = np.nan
    assert told[0][mode] == told[1][mode]
    expected = rg.audit(x, **beside, **options)
    found = json.loads(told[0][mode])
    assert measures_of(told[0][mode]) == pytest.approx(measures_of(expected.to_json()), rel=1e-7, abs=1e-9)
    assert found["verdict"]["level"] == expected.level
    assert found["n_samples"] == len(x) - 2 * (mode == "dropped")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_as_the_mode_says_is_an_error_in_every_process(told, name):
    for found in told:
        assert REFUSED[name][1] in found[name]
    if name.startswith("same,") and "labels" not in name:
        assert 'say `distributed="own"`' in told[1][name]


def test_modes_are_named():
    assert [mode_of(value) for value in (False, None, True, "same", "own")] == [None, None, "same", "same", "own"]
    for bad in ("each", 2, ["own"]):
        with pytest.raises(ValueError, match=re.escape(f"got {bad!r}")):
            rg.audit(rows(), distributed=bad)
    with pytest.raises(ValueError, match="stream of batches"):
        rg.audit(iter([rows()]), distributed="own")
