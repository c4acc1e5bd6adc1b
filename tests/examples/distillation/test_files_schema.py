"""Every file of a run fits the schema that is shipped; what is no such file does not."""

import copy
import json
import tomllib
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from repgeom_examples.distillation import stored

SCHEMA = json.loads(resources.files("repgeom_examples.distillation").joinpath("files.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def errors(instance, name):
    """What of it does not fit one of the schema's definitions."""
    part = jsonschema.Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{name}"}]})
    return [
        error.message for deep in part.iter_errors(instance) for error in [jsonschema.exceptions.best_match([deep])]
    ]


def test_the_schema_is_one_and_ships():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    setup = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "*.json" in setup["package-data"]["repgeom_examples.distillation"]


def test_every_file_of_a_run_fits(whole):
    assert errors(json.loads((whole / "run.json").read_text()), "run_file") == []
    cells = sorted((whole / "cells").glob("*.json"))
    for path in cells:
        found = json.loads(path.read_text())
        assert errors(found, "cell_file") == [], path.name
        assert errors(found["record"], found["record"]["cell"]["kind"]) == [], path.name
    lines = (whole / "log.jsonl").read_text().splitlines()
    assert len(lines) == len(cells) + 1
    for line in lines:
        assert errors(json.loads(line), "log_line") == []


def test_a_model_that_failed_fits(whole, tmp_path):
    """As `running` records it."""
    done = stored.load(whole / "cells" / "make-digits--cnn-w1-cosine-s1").record
    kept = {key: done[key] for key in ("cell", "config", "setting", "seconds")}
    stored.save(tmp_path / "x", {**kept, "status": "failed", "reason": "the loss became nan in epoch 1 of 2"})
    assert errors(json.loads((tmp_path / "x.json").read_text()), "cell_file") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.pop("sha256"),
        lambda f: f.update(format=1),
        lambda f: f["record"].pop("effective_rank"),
        lambda f: f["record"].update(effective_rank="7"),
        lambda f: f["record"].update(a_number_without_a_description=1.0),
        lambda f: f["record"].update(status="failed"),
        lambda f: f["record"].pop("losses"),
        lambda f: f["record"]["setting"].pop("n_test"),
        lambda f: f["record"]["curve"][0].pop("step"),
    ],
)
def test_what_is_no_such_file_does_not_fit(change, whole):
    found = json.loads((whole / "cells" / "make-digits--cnn-w1-cosine-s1.json").read_text())
    wrong = copy.deepcopy(found)
    change(wrong)
    assert VALIDATOR.is_valid(found)
    assert not VALIDATOR.is_valid(wrong)


def test_every_property_says_what_it_is():
    def properties(part):
        if isinstance(part, dict):
            yield from part.get("properties", {}).items()
            for below in part.values():
                yield from properties(below)
        elif isinstance(part, list):
            for below in part:
                yield from properties(below)

    assert [n for n, s in properties(SCHEMA) if not {"description", "$ref", "const"} & s.keys()] == []


def test_every_array_is_listed_and_has_a_value_for_each_image(whole):
    for path in (whole / "cells").glob("*.json"):
        record, arrays = stored.load(path.with_name(path.name.removesuffix(".json")))
        assert errors(dict.fromkeys(arrays, 0), "arrays") == []
        assert {len(values) for values in arrays.values()} == {record["setting"]["n_test"]}
