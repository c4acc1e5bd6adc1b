"""Every report, of whatever was audited, fits the schema that is shipped; what is no report does not."""

import copy
import json
import tomllib
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from audited import healthy

import repgeom as rg
from repgeom.auditing.accumulator import AuditAccumulator
from repgeom.auditing.json_form import SCHEMA_VERSION
from repgeom.auditing.purposes import PURPOSES
from repgeom.cli.main import main

SCHEMA = json.loads(resources.files("repgeom.auditing").joinpath("report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
N, D = 240, 8


def _audits():
    x, labels = healthy(N, D), np.arange(N) % 3
    teacher, holed = healthy(N, D, 1), np.where(np.arange(N)[:, None] == 7, np.inf, x)
    yield "plain", rg.audit(x)
    yield "labels", rg.audit(x, labels=labels)
    yield "labels as text", rg.audit(x, labels=np.array(["NaN", "é|b", "c"])[labels])
    yield "a class of one row", rg.audit(x, labels=np.r_[labels[:-1], 9])
    yield "groups", rg.audit(x, groups=np.arange(N) // 2)
    yield "reference", rg.audit(x, reference=teacher)
    yield "reference of another width", rg.audit(x, reference=healthy(N, 30, 1))
    yield "corrupted", rg.audit(x, corrupted=x + 0.1 * teacher, labels=labels)
    yield "corrupted to a point", rg.audit(x, corrupted=np.ones((N, D)))
    yield (
        "everything",
        rg.audit(x, labels=labels, groups=np.arange(N) // 2, reference=teacher, corrupted=x + 0.1 * teacher),
    )
    yield "stream", rg.audit(iter(np.array_split(x, 3)))
    yield "stream of dicts", rg.audit({"features": x[i], "labels": labels[i]} for i in np.array_split(np.arange(N), 3))
    yield "accumulator", AuditAccumulator().update(x, start=0).report()
    yield "dropped rows", rg.audit(holed, reference=teacher, labels=labels, drop_nonfinite=True)
    yield "float32, unit length", rg.audit(x.astype(np.float32), normalize="l2")
    yield "float16", rg.audit(x.astype(np.float16))
    yield "two rows", rg.audit(x[:2])
    yield "three rows", rg.audit(x[:3], reference=x[:3, :5], labels=[0, 0, 1])
    yield "n < d", rg.audit(healthy(20, 50), labels=np.arange(20) % 2)
    yield "one feature", rg.audit(x[:, :1])
    yield "singular", rg.audit(np.c_[x, x])
    yield "collapsed", rg.audit(x[:, :1] * np.arange(1, D + 1.0))
    yield "huge", rg.audit(1e150 * x)
    yield "switched off", rg.audit(x, thresholds={"rank_share": (None, None)}, max_pair_rows=50, name="NaN")
    yield "a surrogate in the name", rg.audit(x, name="\n\x1b é")
    for purpose in PURPOSES:
        yield purpose, rg.audit(x, labels=labels, purpose=purpose)


AUDITS = dict(_audits())


@pytest.mark.parametrize("kind", AUDITS)
@pytest.mark.parametrize("keep_scores", [False, True])
def test_every_report_fits(kind, keep_scores):
    report = AUDITS[kind]
    for found in (
        report.to_dict(keep_scores=keep_scores),
        report.to_dict(against=AUDITS["plain"]),
        json.loads(report.to_json()),
    ):
        VALIDATOR.validate(found)
    back = rg.Report.from_json(report.to_json(keep_scores=keep_scores))
    VALIDATOR.validate(back.to_dict(keep_scores=keep_scores))


def test_the_battery_holds_infinity_nan_and_null():
    text = json.dumps([report.to_dict() for report in AUDITS.values()])
    for word in ('"Infinity"', '"NaN"', "null"):
        assert word in text


def test_files_of_one_and_of_several_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", healthy(N, D))
    np.save("ids.npy", np.arange(N))
    for features in (["a.npy"], ["a.npy", "a.npy", "a.npy"]):
        main(["audit", *features, "--row-ids", "ids.npy", "--keep-scores", "--json", "r.json"])
        VALIDATOR.validate(json.loads(Path("r.json").read_text()))


# What does not fit --------------------------------------------------------------------------------------------------


def changed(found, path, value):
    found = copy.deepcopy(found)
    *parents, last = path
    place = found
    for key in parents:
        place = place[key]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["schema_version"], SCHEMA_VERSION + 1),
        (["schema_version"], str(SCHEMA_VERSION)),
        (["n_samples"], 0),
        (["n_samples"], 2.5),
        (["verdict", "level"], "bad"),
        (["verdict", "purpose"], "clustering"),
        (["verdict", "findings", 0, "worse"], "beside"),
        (["measures", "effective_rank", "value"], "nan"),
        (["measures", "effective_rank", "value"], "3"),
        (["measures", "effective_rank", "range"], [1.0]),
        (["measures", "effective_rank", "estimate", "degrees"], KeyError),
        (["measures", "effective_rank", "new"], 1),
        (["row_identity", "scored"], "abc"),
        (["row_identity", "marks", "colour"], 64 * "0"),
        (["health", "nan"], -1),
        (["convention", "normalize"], "l1"),
        (["unheard"], 1),
    ],
)
def test_what_is_no_report_does_not_fit(path, value):
    assert not VALIDATOR.is_valid(changed(AUDITS["everything"].to_dict(), path, value))


@pytest.mark.parametrize("key", list(AUDITS["plain"].to_dict()))
def test_every_part_of_a_plain_report_is_known_and_of_one_kind(key):
    found = AUDITS["plain"].to_dict()
    assert not VALIDATOR.is_valid(changed(found, [key], [[]]))
    if key not in SCHEMA["$defs"]["report"]["required"]:
        return
    assert not VALIDATOR.is_valid(changed(found, [key], KeyError))


# Where it lies ------------------------------------------------------------------------------------------------------


def test_it_is_a_schema_and_says_of_which_version():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["$id"].endswith(f":{SCHEMA_VERSION}")
    assert SCHEMA["$defs"]["report"]["properties"]["schema_version"] == {"const": SCHEMA_VERSION}
    assert set(SCHEMA["$defs"]["report"]["properties"]["verdict"]["properties"]["purpose"]["enum"]) == set(PURPOSES)


def test_the_command_prints_it_and_the_wheel_holds_it(capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "auditing/*.json" in project["tool"]["setuptools"]["package-data"]["repgeom"]
