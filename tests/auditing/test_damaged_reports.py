"""A report whose parts were changed is refused with a ValueError, or can be shown and compared as any other."""

import copy
import json
import random

import numpy as np
import pytest
from audited import healthy

import repgeom as rg
from repgeom.auditing.drops import allowed_drop, decide
from repgeom.auditing.report import Report

VALUES = [None, 0, -1, 1, 1e308, "NaN", "Infinity", "", "x", [], {}, True, [1], {"a": 1}, "5", 2**70]


@pytest.fixture(scope="module")
def whole():
    x, labels = healthy(100, 4), np.random.default_rng(0).integers(0, 3, 100)
    report = rg.audit(x, labels=labels, groups=np.arange(100) // 2, reference=x + 1, corrupted=x + 0.1)
    return report.to_dict(keep_scores=True)


def places(found, start=()):
    """Where something stands: every key, and the ends of every list."""
    keys = list(found) if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ()
    for key in keys:
        yield (*start, key)
        yield from places(found[key], (*start, key))


def changed(found, place, value):
    found = copy.deepcopy(found)
    *parents, last = place
    parent = found
    for key in parents:
        parent = parent[key]
    if value is KeyError:
        del parent[last]
    else:
        parent[last] = value
    return found


def use(report, other):
    str(report), report.to_json(keep_scores=True), report.to_markdown(), report.to_frame()
    for pair in ((report, other), (other, report)):
        comparison = rg.compare_reports(*pair)
        str(comparison), comparison.to_json(), comparison.to_markdown()
        decide(allowed_drop("effective_rank=5%"), comparison)


@pytest.mark.parametrize("seed", range(8))
def test_no_change_is_more_than_a_valueerror(whole, seed):
    rng, good, refused = random.Random(seed), Report.from_json(json.dumps(whole)), 0
    everywhere = list(places(whole))
    for place in rng.sample(everywhere, 25):
        value = rng.choice([*VALUES, KeyError])
        try:
            report = Report.from_json(json.dumps(changed(whole, place, value)))
        except ValueError as error:
            refused += any(words in str(error) for words in ("is not a whole report", "schema version"))
            continue
        if "effective_rank" in {v.name for v in report.values} and report.convention["normalize"] is None:
            use(report, good)
    assert refused


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("measures", "rankme", "label"), 3),
        (("measures", "rankme", "note"), ["a"]),
        (("verdict", "findings", 0, "advice"), None),
        (("verdict", "findings", 0, "level"), "bad"),
        (("verdict", "level"), "bad"),
        (("convention", "pair_rows"), "5"),
        (("convention", "normalize"), "l1"),
        (("health", "zero_rows"), "many"),
        (("health", "zero_rows"), True),
        (("corrupted", "drift"), []),
        (("reference", "name"), None),
        (("notes",), [3]),
        (("n_samples",), 0),
        (("name",), None),
        (("row_identity", "scores", "effective_rank", "groups"), "AAAA"),
        (("row_identity", "scores", "effective_rank", "influence"), "not base64"),
    ],
)
def test_what_no_report_can_hold_is_refused(whole, place, value):
    with pytest.raises(ValueError, match="is not a whole report"):
        Report.from_json(json.dumps(changed(whole, place, value)))
