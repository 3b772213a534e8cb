"""schema/sweep.schema.json: is what the program makes of params.def, and agrees with the parser about tests/sweeps."""
import json
import os
import pathlib
import subprocess

import jsonschema
import pytest
import yaml

import conftest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "schema/sweep.schema.json"
# What a schema cannot say: names that look like jobs, two jobs alike, a parameter in two places, rules between values.
BEYOND_A_SCHEMA = {"same.yaml", "twice.json", "metric_of_nothing.yaml"}
NOT_A_DOCUMENT = {"bytes.yaml", "empty.json", "syntax.json"}


def loader():
    """PyYAML reads YAML 1.1; of what the files here hold only 5e-4 and yes differ from 1.2."""
    class Loader(yaml.SafeLoader):
        pass
    Loader.yaml_implicit_resolvers = {c: [r for r in rs if "bool" not in r[0] and "float" not in r[0]]
                                      for c, rs in yaml.SafeLoader.yaml_implicit_resolvers.items()}
    import re
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float",
                                 re.compile(r"^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$"), list("-+.0123456789"))
    return Loader


def errors(path):
    value = yaml.load(path.read_text(), loader())
    return list(jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(value))


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))


def test_the_file_is_what_the_table_gives():
    program = pathlib.Path(conftest.SWEEPCTL).parents[1] / "schema/sweep-schema"
    made = subprocess.run([program], capture_output=True, text=True, check=True, env={**os.environ}).stdout
    assert made == SCHEMA.read_text(), "run ninja schema/sweep-schema and write its output to schema/sweep.schema.json"


@pytest.mark.parametrize("path", sorted([*(ROOT / "tests/sweeps/good").iterdir(), ROOT / "sweeps/grid.json",
                                         ROOT / "sweeps/demo.json"]), ids=lambda p: p.name)
def test_good_files_are_good_to_both(place, path):
    assert errors(path) == []
    place.run("submit", "--dry-run", path)


@pytest.mark.parametrize("path", sorted(p for p in (ROOT / "tests/sweeps/bad").iterdir()
                                        if p.suffix != ".expected" and p.name not in BEYOND_A_SCHEMA | NOT_A_DOCUMENT),
                         ids=lambda p: p.name)
def test_bad_files_are_bad_to_both(path):
    assert errors(path)
