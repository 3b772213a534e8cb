"""The measurements of tests/bench still run, at sizes that take seconds; their times are nobody's business here."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.dom.minidom

import pytest

from conftest import BUILD, PLAIN, ROOT, WORKER

BENCH = ROOT / "tests/bench"
DEADLINE_S = 300
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
needs_instant_worker = pytest.mark.skipif(not (BUILD / "tests/bench/instant_worker").exists(), reason="not built")


@pytest.fixture
def place():
    """Its name is short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="bench.") as directory:
        yield pathlib.Path(directory)


def bench(program, *options, build=BUILD):
    done = subprocess.run([sys.executable, BENCH / program, "--build", build, *map(str, options)], text=True, capture_output=True,
                          timeout=DEADLINE_S, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@needs_instant_worker
def test_every_part_says_its_figures_and_leaves_nothing(tmp_path, place):
    out = tmp_path / "figures.jsonl"
    bench("daemon_bench.py", "--dir", place, "--jobs", 50, "--rounds", 1, "--out", out, "next", "jobs", "submit", "start",
          "recover", "memory", "metrics")
    assert not list(place.iterdir())
    figures = {row["name"]: row["value"] for row in kept(out) if "name" in row}
    assert {"done -> next start on the same device, p99", "sweepd, workers stay", "sweepd, /bin/true started for each job",
            "submit of 50 jobs, median of 1", "start to ready, 50 jobs, median of 5",
            "kill -9, 50 jobs, 8 live workers: ready again, median of 5", "resident memory, idle"} <= set(figures)
    assert figures["of them not stored"] == 0 and figures["lost across a kill -9 and a restart"] == 0


@needs_instant_worker
def test_growth_goes_on_where_it_was_left_and_is_drawn(tmp_path, place):
    growth = tmp_path / "growth.jsonl"
    options = ["--dir", place, "--growth", growth, "--window-s", 0.1, "--sizes", 20, "grow"]
    bench("daemon_bench.py", *options)
    whole = kept(growth)
    half = "".join(line + "\n" for line in growth.read_text().splitlines() if json.loads(line)["store"] == "queued")
    growth.write_text(half)
    bench("daemon_bench.py", *options)
    assert growth.read_text().startswith(half) and not list(place.iterdir())
    assert [row["name"] for row in kept(growth)] == [row["name"] for row in whole] and len(whole) >= 19
    drawn = subprocess.run([BENCH / "plot.py", growth], text=True, capture_output=True, check=True).stdout
    svg = xml.dom.minidom.parseString(drawn).documentElement
    assert len(svg.getElementsByTagName("title")) == sum(row["value"] > 0 for row in kept(growth))


def test_the_drawing_in_docs_is_of_the_figures_that_are_kept():
    drawn = subprocess.run([BENCH / "plot.py", BENCH / "results/growth.jsonl"], text=True, capture_output=True, check=True).stdout
    assert (ROOT / "docs/growth.svg").read_text() == drawn, "tests/bench/plot.py tests/bench/results/growth.jsonl > docs/growth.svg"


@pytest.mark.skipif(not WORKER.exists() or not FASHION.exists(), reason="no sweep-worker or no dataset-fashion-mnist")
def test_what_a_training_loses_around_its_steps(tmp_path, place):
    out = tmp_path / "figures.jsonl"
    bench("worker_bench.py", "--dir", place, "--model", "resnet8", "--other", "resnet20", "--batch", 8, "--rounds", 1, "--steps", 3,
          "--out", out, "all", build=PLAIN)
    figures = {row["name"]: row for row in kept(out)}
    assert len(figures["checkpoint"]["written"]) == 1 and 0 < figures["test share"]["value"] < 100
    assert all(f"warm, {name}" in figures for name in ("resnet8, first job of a process", "resnet8 again", "resnet20 after it"))
    assert not list(place.iterdir())
