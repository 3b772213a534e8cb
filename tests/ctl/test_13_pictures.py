"""The pictures of a report and the tests in `show`: classes and confusions, power, mixed precision x batch scheduler."""
import base64
import json
import os
import re
import struct
import zlib

import pytest

from conftest import T0
from test_7_report import HTML, SVG, report, text_of

CLASSES, POWER, AMP = "Classes", "Power of the best run", "Mixed precision and batch scheduler"


def confuse(place, job, matrix, names=None, epoch=3, **members):
    directory = place.directory / "jobs" / str(job)
    directory.mkdir(parents=True, exist_ok=True)
    text = {"dataset": "x", "classes": names or [f"class {i}" for i in range(len(matrix))],
            "last": {"epoch": epoch, "matrix": matrix}, **members}
    (directory / "confusion.json").write_text(json.dumps(text))
    return directory / "confusion.json"


def matrix_of(n, wrong):
    """8 images of each class are right; wrong: (class, taken for) -> images."""
    return [[8 if i == k else wrong.get((i, k), 0) for k in range(n)] for i in range(n)]


def pixels_of(svg):
    """The heat map's indices and their colours, read as any PNG reader would."""
    [image] = svg.iter(f"{SVG}image")
    head, data = image.get("href").split(",")
    assert head == "data:image/png;base64"
    png, chunks, at = base64.b64decode(data), {}, 8
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + size]
        assert zlib.crc32(kind + body) == struct.unpack(">I", png[at + 8 + size:at + 12 + size])[0], kind
        chunks[kind] = body
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [4, 3, 0, 0, 0]
    raw, stride = zlib.decompress(chunks[b"IDAT"]), 1 + (width + 1) // 2
    assert len(raw) == stride * height
    rows = [raw[y * stride:(y + 1) * stride] for y in range(height)]
    assert all(row[0] == 0 for row in rows)
    return [[row[1 + x // 2] >> 4 if x % 2 == 0 else row[1 + x // 2] & 15 for x in range(width)] for row in rows], chunks[b"tRNS"]


@pytest.mark.parametrize("n", [3, 10, 21, 100])
def test_the_heat_map_is_the_matrix(grid, n):
    wrong = {(0, 1): 8, (1, 0): 2, (2, 0): 1}
    names = [f"<{i}> & é" for i in range(n)]
    confuse(grid, 1, matrix_of(n, wrong), names)
    page = report(grid)
    svg = page.svg("confusion")
    pixels, alpha = pixels_of(svg)
    assert alpha[0] == 0 and sorted(alpha[1:8]) == list(alpha[1:8]) and alpha[7] == 255 == alpha[14]
    for i in range(n):
        for k in range(n):
            images = 8 if i == k else wrong.get((i, k), 0)
            assert (1 <= pixels[i][k] <= 7) if i == k else (8 <= pixels[i][k] <= 14) == (images > 0), (i, k)
    assert pixels[0][1] == 14 and pixels[1][0] > pixels[2][0] >= 8  # the largest share at its strongest, 20 % over 11 %
    assert pixels[2][2] == 7 and pixels[0][0] == 5  # 8 of 9; 8 of 16: the root of a half is 5 of 7
    texts = [text_of(t) for t in svg.iter(f"{SVG}tspan")]
    assert texts[:n] == texts[n:2 * n] == names
    assert sorted(texts[2 * n:]) == (sorted([str(v) for v in wrong.values()] + ["8"] * n) if n <= 20 else [])


def test_a_hundred_classes_cost_little(grid):
    without = len(report(grid).text)
    confuse(grid, 1, [[(i * 31 + k * 17) % 7 + 1 for k in range(100)] for i in range(100)], ["chimpanzee_of"] * 100)
    assert len(report(grid).text) - without < 30_000


def test_classes_and_confusions(grid):
    names = [f"c{i}" for i in range(12)]
    matrix = matrix_of(12, {(3, 4): 5, (0, 11): 2, (5, 6): 2, (5, 7): 1})
    matrix[9] = [0] * 12  # no image is of it
    path = confuse(grid, 1, matrix, names)
    section = report(grid).section(CLASSES)
    most, worst, best = ([[text_of(c) for c in row] for row in t.iter(f"{HTML}tr")] for t in section.iter(f"{HTML}table"))
    assert most[1:] == [["c3", "c4", "5", "38.5"], ["c0", "c11", "2", "20.0"], ["c5", "c6", "2", "18.2"], ["c5", "c7", "1", "9.1"]]
    assert [row[:2] for row in worst[1:4]] == [["c3", "61.54"], ["c5", "72.73"], ["c0", "80.00"]]
    assert [row[1:] for row in best[1:]] == [["100.00", "8"]] * 5 and "c9" not in {row[0] for row in worst + best}
    lines = grid.run("show", 1).stdout.splitlines()
    start = lines.index("  classes     test of epoch 3")
    assert lines[start + 2].split() == ["c3", "61.54", "c11", "100.00", "5", "c3", "for", "c4"]
    assert len(lines[start + 2:]) >= 5 and all(len(line) <= 80 for line in lines[start:start + 7])
    classes = grid.json("show", 1)[0]["classes"]
    assert classes["epoch"] == 3 and classes["worst"][0] == {"class": "c3", "accuracy": pytest.approx(100 * 8 / 13)}
    assert classes["confused"][0] == {"class": "c3", "taken_for": "c4", "images": 5, "percent": pytest.approx(500 / 13)}
    assert [len(classes[key]) for key in ("worst", "best", "confused")] == [5, 5, 4]
    text = grid.run("report", "--markdown", "-o", "-").stdout
    assert "| c3 | c4 | 5 | 38.5 |" in text and "- worst: c3 61.54 %, c5 72.73 %" in text
    path.unlink()
    assert CLASSES not in report(grid).titles() and "classes" not in grid.run("show", 1).stdout
    assert grid.json("show", 1)[0]["classes"] is None


BAD = {
    "no JSON": "{", "another shape": "[1]", "no classes": '{"classes": [], "last": {"epoch": 1, "matrix": []}}',
    "a row too few": '{"classes": ["a", "b"], "last": {"epoch": 1, "matrix": [[1, 2]]}}',
    "a row too short": '{"classes": ["a", "b"], "last": {"epoch": 1, "matrix": [[1, 2], [1]]}}',
    "a name of another type": '{"classes": [7], "last": {"epoch": 1, "matrix": [[1]]}}',
    "a text": '{"classes": ["a"], "last": {"epoch": 1, "matrix": [["1"]]}}',
    "a negative number": '{"classes": ["a"], "last": {"epoch": 1, "matrix": [[-1]]}}',
    "a number too large": '{"classes": ["a"], "last": {"epoch": 1, "matrix": [[4294967296]]}}',
    "no epoch": '{"classes": ["a"], "last": {"epoch": 0, "matrix": [[1]]}}',
    "too many classes": json.dumps({"classes": ["a"] * 257, "last": {"epoch": 1, "matrix": [[1] * 257] * 257}}),
    "too many bytes": " " * (2 * 1024 * 1024) + "{}",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_bad_file_costs_a_sentence(grid, text):
    confuse(grid, 1, [[1]]).write_text(text)
    out = grid.run("show", 1).stdout
    assert "  classes     not shown: " in out and "confusion.json" in out and "attempt 1" in out
    section = report(grid).section(CLASSES)
    assert "Not shown: " in text_of(section) and not list(section.iter(f"{SVG}svg"))
    assert "Classes" not in grid.run("report", "--markdown", "-o", "-").stdout


def test_what_is_no_file_and_what_is_hostile(grid):
    path = confuse(grid, 1, [[1]])
    path.unlink()
    os.mkfifo(path)  # nobody writes: reading it would wait for ever
    assert "is not a file" in grid.run("show", 1).stdout
    path.unlink()
    evil = "\x1b[31m</svg><script>alert(1)</script>" + "é" * 100
    confuse(grid, 1, matrix_of(3, {(0, 1): 3}), [evil, "\u202e", ""])
    out = grid.run("show", 1).stdout
    assert "\x1b" not in out and "\u202e" not in out and all(len(line) < 200 for line in out.splitlines())
    assert "<script>alert" not in report(grid).text
    grid.run("report", "--markdown", "-o", "-")


def test_the_only_address_is_the_picture_itself(grid):
    confuse(grid, 1, matrix_of(5, {}))
    hrefs = [e.get("href") for e in report(grid).root.iter() if e.get("href")]
    assert len(hrefs) == 1 and hrefs[0].startswith("data:image/png;base64,")


def test_every_metric_is_shown(grid):
    attempt, = grid.sql("SELECT id FROM attempt WHERE job = 1")[0]
    for epoch, top5, loss in ((1, 80.0, 1.5), (2, 95.5, 0.5), (3, 94.25, 0.75)):
        for name, value in (("test_top5_accuracy", top5), ("val_loss", loss), ("skipped_steps", 4.0)):
            grid.sql("INSERT INTO metric VALUES (?, ?, ?, ?, NULL, 1)", attempt, epoch, name, value)
    rows = {line.split()[0]: line.split()[1:] for line in grid.run("show", 1).stdout.splitlines() if line.strip()}
    assert rows["test_accuracy"] == ["75.62", "76.50", "2"] and rows["test_top5_accuracy"] == ["94.25", "95.50", "2"]
    assert rows["val_loss"] == ["0.750", "0.500", "2"] and rows["skipped_steps"] == ["4.000"]
    metrics = grid.json("show", 1)[0]["metrics"]
    assert metrics["test_top5_accuracy"] == {"last": 94.25, "best": 95.5, "best_epoch": 2}
    assert metrics["skipped_steps"] == {"last": 4.0, "best": None, "best_epoch": None}
    assert metrics["test_accuracy"] == {"last": 75.62, "best": 76.5, "best_epoch": 2}
    best = report(grid).section("Best run: job 1")
    assert "test_top5_accuracy 94.25" in text_of(best)


def test_a_sweep_judged_by_held_out_images(place):
    """The best by test accuracy is not the best by the sweep's metric, which has no column of its own."""
    place.make_store()
    place.add_sweep(grid=[("resnet18", 0.1, "StepLR"), ("resnet18", 0.05, "StepLR")])
    place.sql("UPDATE sweep SET metric = 'val_accuracy'")
    for job, values, accuracies in ((1, [40.0, 51.5, 50.25], [60.0, 70.0, 80.0]), (2, [41.0, 52.0, 53.75], [61.0, 71.0, 75.0])):
        attempt = place.attempt(job)
        for epoch, (value, accuracy) in enumerate(zip(values, accuracies), 1):
            event = place.event(job, "metric", attempt)  # before its epoch, as a worker's come
            for name, v in (("val_accuracy", value), ("val_loss", 100 - value)):
                place.sql("INSERT INTO metric VALUES (?, ?, ?, ?, NULL, ?)", attempt, epoch, name, v, event)
            place.epoch(job, attempt, epoch, accuracy)
        place.set_state(job, "done")
    assert [row["job"] for row in place.json("leaderboard")] == [2, 1]
    assert place.run("leaderboard").stdout.split()[5:10] == ["VAL_ACCURACY", "MINUTES", "1", "2", "resnet18"]
    assert place.json("list")[0]["best_job"] == 2
    lines = [line.split() for line in place.run("compare", "1,2").stdout.splitlines()]
    assert ["val_accuracy", "50.25", "53.75"] in [line[:3] for line in lines] and ["best", "51.50", "53.75"] in [x[:3] for x in lines]
    assert place.json("compare", "1,2")["jobs"][0]["curve"] == [[1, 40.0], [2, 51.5], [3, 50.25]]
    assert place.json("compare", "1,2", "-m", "val_loss")["jobs"][1]["metrics"]["val_loss"] == {
        "last": 46.25, "best": 46.25, "best_epoch": 3}
    assert "53.75" in json.dumps(place.json("compare", "s1")["sweeps"][0]["parameters"])
    assert "46.25" in json.dumps(place.json("compare", "s1", "-m", "val_loss")["sweeps"][0]["parameters"])
    assert "it is train_, test_ or val_" in place.run("compare", "1,2", "-m", "accuracy", code=2).stderr
    page = report(place)
    assert page.path("metric", 1).count("l") == 2 and "Best run: job 2" in page.titles()
    assert text_of(page.svg("metric")[0]) == "val_accuracy"
    assert "- best: job 2, val_accuracy 53.75" in place.run("report", "--markdown", "-o", "-").stdout


# --- mixed precision x batch scheduler ---

def amp_sweep(place, runs, swept=("use_amp", "use_batch_scheduler")):
    """runs: (use_amp, use_batch_scheduler, seconds of its one epoch, RAM, VRAM, accuracy)."""
    place.make_store()
    place.add_sweep(grid=[("resnet18", 0.1, "StepLR")] * len(runs))
    place.sql("UPDATE sweep SET swept = ?", json.dumps(list(swept)))
    for job, (amp, batch, seconds, ram, vram, accuracy) in enumerate(runs, 1):
        own = {"use_amp": amp, "use_batch_scheduler": batch, "model": "resnet18", "lr": 0.1, "scheduler": "StepLR"}
        place.sql("UPDATE job SET own = ? WHERE id = ?", json.dumps(own), job)
        place.finish(job, [accuracy], seconds=seconds, test_seconds=0.0, ram_mib=ram, vram_mib=vram)


def bars(page, name):
    """Height of each bar in the picture, left to right, and the numbers over them."""
    svg = page.svg(name)
    paths = [p.get("d") for p in svg.iter(f"{SVG}path") if p.get("class").startswith("bar b")]
    corners = [re.fullmatch(r"M([\d.]+) ([\d.]+)V([\d.]+)h([\d.]+)V([\d.]+)z", d).groups() for d in paths]
    drawn = sorted((float(x), float(bottom) - float(top)) for x, bottom, top, _, _ in corners)
    return [height for _, height in drawn], [text_of(t) for t in svg.iter(f"{SVG}text") if t.get("class") == "label halo"]


def test_bars_are_the_numbers(place):
    amp_sweep(place, [(False, False, 600, 1000, 4000, 70.0), (False, True, 480, 1100, 6000, 71.0),
                      (True, False, 300, 900, 2000, 70.5), (True, True, 240, 950, 3000, 71.5)])
    page = report(place)
    for name, values, texts in (("bars-ram", [1000, 1100, 900, 950], ["1000", "1100", "900", "950"]),
                                ("bars-vram", [4000, 6000, 2000, 3000], ["4000", "6000", "2000", "3000"]),
                                ("bars-time", [10, 8, 5, 4], ["10.00", "8.00", "5.00", "4.00"])):
        heights, labels = bars(page, name)
        assert labels == texts
        assert [h / heights[0] for h in heights] == pytest.approx([v / values[0] for v in values], abs=0.01)
    assert "bars-energy-t" not in page.ids  # nothing reports power
    table = page.table(AMP)
    assert table[0][3:] == ["Peak RAM (MiB)", "Peak VRAM (MiB)", "Run time (min)", "Test accuracy (%)"]
    assert table[2] == ["off", "on", "1", "1100", "6000", "8.00", "71.00"] and len(table) == 5
    assert "| false | true | 1 | 1100 | 6000 | 8.00 | 71.00 |" in place.run("report", "--markdown", "-o", "-").stdout


def test_means_where_other_things_vary_too(place):
    amp_sweep(place, [(False, None, 60, 100, None, 1.0), (False, None, 120, 300, None, 2.0), (True, None, 30, 50, None, 3.0)],
              swept=("use_amp", "seed"))
    place.sql("UPDATE attempt SET details = ? WHERE job = 3", json.dumps({"backend": "cpu", "amp": "fp32"}))
    page = report(place)
    assert bars(page, "bars-time")[1] == ["1.50", "0.50"] and "bars-vram-t" not in page.ids
    assert [text_of(t) for t in page.svg("bars-ram").iter(f"{SVG}text") if t.get("class") == "tick best"] == ["AMP off", "AMP on"]
    dots = [p.get("d") for p in page.svg("bars-time").iter(f"{SVG}path") if p.get("class") == "bar-runs"]
    assert dots[0].count("M") == 2 and dots[1] == ""  # one run is the bar itself
    assert "has no mixed precision" in text_of(page.section(AMP))


def test_no_empty_frames(grid, place):
    assert not {CLASSES, POWER, AMP} & set(report(grid).titles())


def test_nothing_done_nothing_drawn(place):
    amp_sweep(place, [(False, False, 60, 100, 10, 1.0), (True, False, 60, 100, 10, 1.0)])
    place.sql("UPDATE job SET state = 'failed'")
    assert AMP not in report(place).titles()


# --- power ---

def sample(place, attempt, second, watts):
    event = place.event(1, "telemetry", attempt)
    for name, value in (("seconds", 30.0), ("watts", watts)):
        place.sql("INSERT INTO telemetry VALUES (?, ?, ?, ?, ?)", event, attempt, T0 + second * 1000, name, value)


def test_power_over_time(place):
    place.make_store()
    place.add_sweep(grid=[("resnet18", 0.1, "StepLR")])
    place.finish(1, [50.0, 60.0, 70.0], joules=3600.0, watts=109.0)
    attempt, = place.sql("SELECT id FROM attempt")[0]
    for second, watts in ((30, 100.0), (60, 200.0), (90, 100.0), (1000, 150.0), (1030, 150.0)):
        sample(place, attempt, second, watts)
    page = report(place)
    power = page.svg("power")
    [line] = [p for g in power.iter(f"{SVG}g") for p in g.iter(f"{SVG}path") if not p.get("class")]
    assert line.get("d").count("M") == 2  # it was stopped between
    marks = [t for t in power.iter(f"{SVG}text")]
    assert {"0", "100", "200", "minutes since its start"} <= {text_of(t) for t in marks}
    assert "0.0" in {text_of(t) for t in page.svg("energy").iter(f"{SVG}text")}
    sums = text_of(page.section(POWER))
    assert "3 Wh in all" in sums and "109 W on average" in sums and "200 W at most" in sums
