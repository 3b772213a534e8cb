"""report: one file that says what the store holds, stays well-formed whatever the store holds, and needs nothing else."""
import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

from conftest import SWEEPCTL

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
NASTY = "</script><script>alert('x')</script> & \"quoted\" <b> ]]> \x1b[31m \u202e"


def text_of(element):
    return "".join(element.itertext()).strip()


class Page:
    """A report, parsed as XML: what is not well-formed does not get past here."""

    def __init__(self, text):
        self.text = text
        self.root = ElementTree.fromstring(text)
        self.ids = {e.get("id") for e in self.root.iter() if e.get("id")}

    def section(self, title):
        [found] = [s for s in self.root.iter(f"{HTML}section")
                   if s.find(f"{HTML}h2") is not None and text_of(s.find(f"{HTML}h2")) == title]
        return found

    def titles(self):
        return [text_of(h) for h in self.root.iter(f"{HTML}h2")]

    def table(self, title):
        rows = self.section(title).iter(f"{HTML}tr")
        return [[text_of(cell) for cell in row] for row in rows]

    def svg(self, name):
        [found] = [s for s in self.root.iter(f"{SVG}svg") if s.get("aria-labelledby", "").startswith(f"{name}-t ")]
        return found

    def runs(self, name):
        """data-job -> group of the line, in a chart."""
        return {int(g.get("data-job")): g for g in self.svg(name).iter(f"{SVG}g")
                if g.get("data-job") and "end" not in g.get("class").split()}

    def path(self, name, job):
        return self.runs(name)[job].find(f"{SVG}path").get("d")


def report(place, *args, **kw):
    return Page(place.run("report", "-o", "-", *args, **kw).stdout)


def test_the_file_and_its_name(grid, tmp_path):
    done = grid.run("report", cwd=tmp_path)
    assert re.fullmatch(r"report-s1\.html: s1 grid, 8 jobs, [\d.]+ KiB\n", done.stdout) and done.stderr == ""
    page = (tmp_path / "report-s1.html").read_text()
    assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>\n")
    answer = grid.json("report", "grid", "-o", tmp_path / "x.html")
    assert answer == {"file": str(tmp_path / "x.html"), "sweep": "s1", "jobs": 8, "bytes": len(page.encode())}


def test_parts_come_in_the_order_of_a_report(grid):
    page = report(grid)
    assert page.titles() == ["What was swept", "Results", "Curves", "Time per epoch", "Parameters and result",
                             "Best run: job 1", "Efficiency", "Machine and versions", "Sweep file", "Make it again"]
    assert "5 of 8 jobs are not over yet" in page.text


def test_results_agree_with_the_store(grid):
    page = report(grid)
    rows = page.table("Results")
    assert rows[0] == ["Job", "Model", "LR", "Scheduler", "Test Accuracy (%)", "Training Time (min)", "Notes"]
    stored = grid.sql("SELECT job, model, lr, scheduler, test_accuracy, minutes, notes FROM results")
    assert len(rows) == 9 and len(stored) == 8
    for row, (job, model, lr, scheduler, accuracy, minutes, notes) in zip(rows[1:], stored):
        assert row == [str(job), model, str(lr), scheduler, "" if accuracy is None else f"{accuracy:.2f}",
                       "" if minutes is None else f"{minutes:.2f}", notes]
    assert "<b>75.62</b>" in page.text and "<b>75.18</b>" not in page.text
    assert rows[4][-1] == "failed: loss is NaN at epoch 1" and rows[3][-1] == "running, 1/3"


def test_key_numbers(grid):
    page = report(grid)
    tiles = dict(zip((text_of(e) for e in page.root.iter(f"{HTML}dt")),
                     ([text_of(p) for p in e] for e in page.root.iter(f"{HTML}dd"))))
    assert tiles["Best run, test_accuracy"] == ["75.62 %", "job 1: resnet18, 0.1, StepLR"]
    assert tiles["Fastest run"] == ["1.15 min", "job 2: resnet18, 0.1, ReduceLROnPlateau"]
    assert tiles["Training and testing"][0] == "3 m 21 s"  # 99 + 69 + 33 s
    assert tiles["Jobs done"] == ["2 of 8", "4 queued, 1 running, 1 failed"]


def test_efficiency_agrees_with_the_store(grid):
    grid.sql("UPDATE epoch SET images_per_second = 1000 + epoch, ram_mib = 600 + epoch WHERE job = 2")
    rows = report(grid).table("Efficiency")
    assert rows[0][4:] == ["Minutes", "s per epoch", "Images/s", "Peak RAM (MiB)"]  # no VRAM, no energy: unknown
    assert rows[2][4:] == ["1.15", "23.00", "1002", "603"]
    grid.sql("UPDATE epoch SET vram_mib = 2900, watts = 69 WHERE job = 1")
    rows = report(grid).table("Efficiency")
    assert rows[1][-2:] == ["2900", "1.9"] and rows[2][-2:] == ["", ""]  # 99 s of 69 W


def test_curves_hold_every_epoch(grid):
    page = report(grid)
    for name in ("test-accuracy", "test-loss", "train-loss"):
        assert set(page.runs(name)) == set(range(1, 9))
        assert page.path(name, 1).count("l") == 2 and page.path(name, 4) == ""
    assert page.path("lr", 1).count("h") == 1  # one stroke for what does not change
    start, *moves = re.findall(r"[Ml](-?[\d.]+)[ ]?(-?[\d.]+)", page.path("test-accuracy", 1))
    highest = [float(start[1])]
    for _, down in moves:
        highest.append(highest[-1] + float(down))
    assert highest[1] < highest[2] < highest[0]  # 76.5, 75.62, 60.0: up is better
    assert "No epoch finished in jobs 4-8." in page.text


def test_one_epoch_is_a_point(grid):
    line = report(grid).runs("test-accuracy")[3]
    paths = [p.get("d") for p in line.iter(f"{SVG}path")]
    assert paths[0] == "" and re.fullmatch(r"M[\d.]+ [\d.]+h0", paths[1])


def test_gaps_break_the_line(grid):
    attempt = grid.attempt(5, state="done")
    for epoch in range(1, 7):
        grid.epoch(5, attempt, epoch, None if epoch == 3 else 50.0 + epoch, train_loss=None)
    grid.set_state(5, "done")
    page = report(grid)
    assert page.path("test-accuracy", 5).count("M") == 2 and page.path("train-loss", 5) == ""
    assert "nan" not in re.sub(r"<pre.*?</pre>|<script.*?</script>", "", page.text.replace("loss is NaN", ""), flags=re.S)


def test_a_sweep_in_which_nothing_has_happened(place):
    place.make_store()
    place.add_sweep()
    page = report(place)
    assert "No epoch has finished yet" in page.text and "no run is done yet" in page.text
    assert "No worker has started yet" in page.text
    assert not any(title.startswith(("Time", "Best", "Parameters")) for title in page.titles())


def test_no_store_no_such_sweep_two_sweeps(place):
    assert "no sweeps yet" in place.run("report", code=4).stderr
    place.make_store()
    place.add_sweep("a")
    place.add_sweep("b")
    assert 'no sweep "c"' in place.run("report", "c", code=4).stderr
    assert "a report is about one sweep" in place.run("report", "a", "b", code=2).stderr
    assert "sweep report" in report(place).text and len(report(place, "a").table("Results")) == 9
    assert not list(place.directory.glob("report*"))


def test_some_jobs_of_a_sweep(grid):
    page = report(grid, "1-2")
    assert [row[0] for row in page.table("Results")[1:]] == ["1", "2"]
    assert [row[0] for row in page.table("What was swept")[1:]] == ["scheduler"]
    assert "sweepctl report 1-2\n" in page.text


def test_any_text_stays_text(grid):
    grid.sql("UPDATE job SET reason = ? WHERE id = 4", NASTY)
    grid.sql("UPDATE sweep SET name = ?, project = ?, text = ?, note = ?, data_dir = ?, overrides = ?", NASTY, NASTY,
             "# " + NASTY + "\nname: x\n", NASTY, "/data/it's", json.dumps([["model", NASTY]]))
    grid.sql("UPDATE job SET own = json_set(own, '$.model', ?), swept = json_set(swept, '$.model', ?)"
             " WHERE id IN (1, 2)", NASTY, NASTY)
    grid.sql("UPDATE attempt SET details = ?", json.dumps({"device": NASTY, "versions": {NASTY: NASTY}}))
    done = grid.run("report", "s1", "-o", "-")
    page = Page(done.stdout)
    assert "<script>alert" not in page.text and "\x1b" not in page.text
    assert len(list(page.root.iter(f"{HTML}script"))) == 1
    clean = NASTY.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd")
    assert text_of(page.root.find(f".//{HTML}h1")) == clean
    assert clean in text_of(page.section("Sweep file")) and clean in text_of(page.section("Machine and versions"))
    assert "--data '/data/it'\\''s'" in text_of(page.section("Make it again"))
    markdown = grid.run("report", "s1", "--markdown", "-o", "-").stdout
    assert "<script>" not in re.sub(r"(?m)^    .*$", "", markdown)


def test_text_that_is_not_utf8(grid):
    grid.sql("UPDATE job SET reason = CAST(x'ff61c3' AS TEXT) WHERE id = 4")
    page = report(grid)
    assert page.table("Results")[4][-1] == "failed: \ufffda\ufffd"


def test_nothing_comes_from_elsewhere(grid):
    page = report(grid)
    addresses = set(re.findall(r"[a-z]+://[^\"\s<]+", page.text))
    assert addresses == {"http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"}  # names, never fetched
    for element in page.root.iter():
        assert not {"src", "href", "action", "srcset", "style"} & set(element.keys()), element.tag
        assert element.tag not in (f"{HTML}link", f"{HTML}img", f"{HTML}iframe")
    assert "url(" not in page.text and "@import" not in page.text


def test_pictures_and_tables_speak(grid):
    page = report(grid)
    pictures = [s for s in page.root.iter(f"{SVG}svg") if s.get("role") == "img"]
    assert len(pictures) == 8
    for picture in pictures:
        title, desc = picture.get("aria-labelledby").split()
        assert {title, desc} <= page.ids and text_of(picture[0]) and text_of(picture[1])
    named = [e.get("id") for e in page.root.iter() if e.get("id")]
    assert len(named) == len(set(named))
    assert all(th.get("scope") in ("col", "row") for th in page.root.iter(f"{HTML}th"))


def luminance(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_colours_stand_out_in_light_and_dark(grid):
    styles = re.findall(r":root \{(.*?)\}", report(grid).text, re.S)
    assert len(styles) == 2
    for style in styles:
        colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", style))
        for name, colour in colours.items():
            a, b = sorted((luminance(colour), luminance(colours["paper"])))
            needed = {"ink": 7, "soft": 4.5, "bad": 4.5, "warn": 4.5, "paper": 0, "rule": 0, "wash": 0}.get(name, 3)
            assert (b + 0.05) / (a + 0.05) >= needed, (name, colour)


def test_sixty_runs_stay_readable(place):
    place.make_store()
    lrs = [round(0.002 * k, 3) for k in range(1, 16)]
    place.add_sweep(grid=[(m, lr, s) for m in ("resnet18", "resnet50") for lr in lrs for s in ("StepLR", "x")])
    for job in range(1, 61):
        place.finish(job, [10.0 + job / 10, 20.0 + job])
    page = report(place)
    curve = page.svg("test-accuracy")
    labels = [text_of(t) for t in curve.iter(f"{SVG}text") if t.get("class") == "label"]
    assert sorted(labels) == ["58", "59", "60"]
    legends = [[text_of(li) for li in ul] for ul in page.section("Curves").iter(f"{HTML}ul")]
    assert legends == [["model", "resnet18", "resnet50"], ["scheduler", "StepLR", "x"]]
    assert len(page.runs("test-accuracy")) == len(page.runs("epoch-times")) == len(page.runs("parallel")) == 60
    assert len(page.text) < 300_000


def test_a_parameter_of_many_values_is_cut_into_ranges(place):
    place.make_store()
    place.add_sweep(grid=[("resnet18", k / 100, "StepLR") for k in range(1, 21)])
    place.finish(1, [10.0])
    legend = [text_of(li) for li in report(place).section("Curves").iter(f"{HTML}li")]
    assert legend == ["lr", "0.01 to 0.03", "0.04 to 0.05", "0.06 to 0.08", "0.09 to 0.1", "0.11 to 0.13",
                      "0.14 to 0.15", "0.16 to 0.18", "0.19 to 0.2"]


def test_a_loss_to_minimize(grid):
    grid.sql("UPDATE sweep SET metric = 'test_loss', goal = 'minimize'")
    grid.sql("UPDATE epoch SET test_loss = 0.9 WHERE job = 2")
    page = report(grid)
    assert "Best run: job 2" in page.titles()
    rows = page.table("Results")
    assert rows[0][5] == "test_loss" and rows[1][5] == "1.500" and rows[2][5] == "0.900"
    assert "<b>75.62</b>" in page.text and "<b>0.900</b>" in page.text


def test_the_commands_are_the_ones(grid):
    commands = text_of(report(grid).section("Make it again").find(f"{HTML}pre")).splitlines()
    assert commands[:2] == ["sweepctl submit sweep.yaml", "sweepctl report s1"]
    done = subprocess.run(commands[2], shell=True, env=grid.env, text=True, capture_output=True, check=True).stdout
    assert "75.62" in done and len(done.splitlines()) == 10
    grid.sql("UPDATE sweep SET text = '{}', overrides = '[[\"lr\", \"0.1\"]]'")
    commands = text_of(report(grid).section("Make it again").find(f"{HTML}pre")).splitlines()
    assert commands[0] == "sweepctl submit --override lr=0.1 sweep.json"


def test_a_file_appears_whole_or_not_at_all(grid, tmp_path):
    target = tmp_path / "out" / "r.html"
    target.parent.mkdir()
    target.write_text("before")
    inode = target.stat().st_ino
    grid.run("report", "-o", target)
    assert target.stat().st_ino != inode and os.listdir(target.parent) == ["r.html"]
    assert "out/none/r.html" in grid.run("report", "-o", tmp_path / "out/none/r.html", code=7).stderr
    with open("/dev/full", "w") as full:
        done = subprocess.run([SWEEPCTL, "report", "-o", "-"], env=grid.env, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"cannot be written" in done.stderr


def test_a_pipe_is_written_to_and_stays(grid, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    grid.run("report", "-o", pipe)
    assert reader.communicate(timeout=30)[0].endswith(b"</html>\n") and pipe.is_fifo()
    assert "cannot write" in grid.run("report", "-o", tmp_path, code=7).stderr


def test_reading_changes_nothing(grid):
    before = grid.sql("SELECT count(*), max(id) FROM event")
    bytes_before = grid.store.read_bytes()
    os.chmod(grid.store, 0o444)
    report(grid)
    assert grid.store.read_bytes() == bytes_before and grid.sql("SELECT count(*), max(id) FROM event") == before


def test_markdown(grid, tmp_path):
    grid.run("report", "--markdown", cwd=tmp_path)
    lines = (tmp_path / "report-s1.md").read_text().splitlines()
    assert lines[0] == "# grid"
    assert "- best: job 1, test_accuracy 75.62" in lines
    [row] = [line for line in lines if line.startswith("| 1 |")]
    assert row.startswith("| 1 | resnet18 | 0.1 | StepLR | **75.62** | 1.65 |")
    assert any(line.startswith("| 4 |") and "failed: loss is NaN" in line for line in lines)


def test_long_curves_are_thinned(place):
    place.make_store()
    place.add_sweep(grid=[("resnet18", 0.1, "StepLR")], epochs=5000)
    with place.connect() as db:
        attempt = db.execute("INSERT INTO attempt (job, number, state, device, started_ms) VALUES (1, 1, 'done', 'cpu', 1)"
                             ).lastrowid
        for epoch in range(1, 5001):
            event = db.execute("INSERT INTO event (at_ms, sweep, job, kind) VALUES (1, 1, 1, 'epoch')").lastrowid
            db.execute("INSERT INTO epoch (attempt, epoch, job, event, lr, train_loss, test_loss, test_accuracy,"
                       " train_seconds, test_seconds) VALUES (?, ?, 1, ?, 0.1, 1, 1, ?, 10, 1)",
                       (attempt, epoch, event, 99.99 if epoch == 4321 else 50 + epoch * 7919 % 97 / 10))
    db.close()
    place.set_state(1, "done")
    page = report(place)
    assert len(page.text) < 80_000
    assert 300 < page.path("test-accuracy", 1).count("l") < 2000  # noise: as much as there are columns for
    assert page.path("train-loss", 1).count("l") == 1 and page.path("lr", 1).count("h") == 1
    assert "99.99" in page.text  # the best epoch, exact
