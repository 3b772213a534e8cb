"""docs/recipe.md says what is refused and what is told: each row is tried, and every rule of common/params_rules.c has one."""
import json
import re

import pytest
import yaml

from conftest import ROOT

TABLES = re.findall(r"\| ([^\n]*) \|\n\|[ -|]+\|\n((?:\| .*\|\n)+)", (ROOT / "docs/recipe.md").read_text())
REFUSED, TOLD, NEEDS = ([[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows.splitlines()]
                        for start in ("with (else", "with | told", "parameter | counts")
                        for head, rows in TABLES if head.startswith(start))
RULES = (ROOT / "common/params_rules.c").read_text()


def tried(place, row, **kw):
    defaults = {"epochs": 200, **yaml.safe_load("{" + row[0].strip("`") + "}")}
    text = json.dumps({"parameters": {"seed": {"values": [1]}}, "defaults": defaults})
    path = place.directory / "tried.json"
    path.write_text(text)
    return place.run("submit", "--dry-run", path, **kw).stderr


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row[0].strip("`"))
def test_it_is_refused_as_written(place, row):
    err = tried(place, row, code=5)
    assert f": error: job 1: {row[1]}\n" in err and f"  expected: {row[2]}\n" in err


@pytest.mark.parametrize("row", TOLD, ids=lambda row: row[0].strip("`"))
def test_it_is_told_as_written(place, row):
    assert f": warning: {row[1]}\n" in tried(place, row)


def sentences(call):
    """The first line of every message of that call, as a pattern."""
    for literals in re.findall(call + r',\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', RULES):
        text = json.loads('"' + "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)) + '"').split("\n")[0]
        yield re.sub(r"%[a-z]", ".*", re.escape(text).replace("\\%", "%").replace(r"%\.\.\.", "%..."))


@pytest.mark.parametrize("call, rows", [(r"err_set\(err, -EINVAL", REFUSED), (r"\bwarn\(warnings", TOLD)], ids=["errors", "warnings"])
def test_every_rule_has_its_row(call, rows):
    patterns = list(sentences(call))
    assert len(patterns) >= 15
    assert [p for p in patterns if not any(re.fullmatch(p, row[1]) for row in rows)] == []


def test_what_counts_only_beside_another():
    table = RULES[RULES.index("} needs[] = {"):].split("};")[0]
    rules = {(name, of, values) for name, of, values in re.findall(r'\{"(\w+)", "(\w+)", (?:"([^"]*)"|NULL)\}', table)}
    written = set()
    for names, needs in NEEDS:
        of, values = re.fullmatch(r"`(\w+)` (.*)", needs).groups()
        written |= {(name, of, "" if values == "on" else values.replace(" or ", "|")) for name in re.findall(r"`(\w+)`", names)}
    assert written == rules and len(rules) >= 30


def test_what_is_set_and_not_used_is_told(place):
    assert '"momentum" 0.8 is not used: "optimizer" is "AdamW"' in (ROOT / "docs/recipe.md").read_text()
    assert '"momentum" 0.8 is not used: "optimizer" is "AdamW"' in tried(place, ["optimizer: AdamW, momentum: 0.8, lr: 0.001"])
