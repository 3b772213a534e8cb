"""leaderboard, events, devices: from the store, and devices from the daemon where one runs."""
import json

from test_12_hostile import on_terminal


def test_leaderboard_ranks_what_is_done(grid):
    rows = [line.split() for line in grid.run("leaderboard", "s1").stdout.splitlines()]
    assert rows[0] == ["RANK", "JOB", "MODEL", "LR", "SCHEDULER", "TEST_ACCURACY", "MINUTES"]
    values = [float(row[5]) for row in rows[1:]]
    assert len(values) == 2 and values == sorted(values, reverse=True)
    stored = grid.sql("SELECT job, round(value, 2) FROM leaderboard ORDER BY rank")
    assert [(int(row[1]), float(row[5])) for row in rows[1:]] == stored
    assert [j["job"] for j in grid.json("leaderboard", "-n", "1")] == [stored[0][0]]
    grid.sql("UPDATE sweep SET goal = 'minimize'")
    assert grid.json("leaderboard")[0]["job"] == stored[-1][0]


def test_leaderboard_of_nothing(place, grid):
    assert "no job is done yet" in grid.run("leaderboard", 8).stderr
    grid.run("leaderboard", "s9", code=4)


def test_events_in_order_and_after_an_id(grid):
    newest = grid.sql("SELECT max(id) FROM event")[0][0]
    lines = grid.run("events").stdout.splitlines()
    assert lines and int(lines[-1].split()[0]) == newest
    assert grid.run("events", "--after", newest).stdout == ""
    grid.set_state(8, "cancelled", "cancelled by uid 0")
    line = grid.json("events", "--after", newest)
    assert (line["id"], line["job"], line["kind"]) == (newest + 1, 8, "state")
    assert "needs the number of an event" in grid.run("events", "--after", "x", code=2).stderr


def test_events_of_targets_and_kinds(grid):
    second = grid.add_sweep(name="second")
    grid.sql("INSERT INTO event (at_ms, sweep, kind) VALUES (1, ?, 'submitted')", second)
    job = grid.sql("SELECT min(id) FROM job WHERE sweep = ?", second)[0][0]
    grid.set_state(job, "cancelled")
    grid.sql("INSERT INTO event (at_ms, job, kind) VALUES (1, ?, 'wandb')", job)  # one that names no sweep

    def seen(*words):
        lines = grid.run("events", "--json", "-n", "1000", *words).stdout.splitlines()
        return [(row["job"], row["kind"]) for row in map(json.loads, lines)]
    assert seen("second") == [(None, "submitted"), (job, "state"), (job, "wandb")]
    assert seen(job) == [(job, "state"), (job, "wandb")] and seen(f"1,{job}")[-2:] == seen(job)
    assert set(seen("1-2", "--kind", "epoch,state")) == {(1, "epoch"), (1, "state"), (2, "epoch"), (2, "state")}
    assert len(seen("s1", "second")) == len(seen())
    assert 'did you mean "state"?' in grid.run("events", "--kind", "stat", code=2).stderr
    assert "expected: state, started, epoch" in grid.run("events", "--kind", "xyzzy", code=2).stderr
    assert "nothing of that has happened yet" in grid.run("events", job, "--kind", "epoch").stderr
    grid.run("events", "s9", code=4)


def test_a_terminal_is_not_flooded_with_metrics(grid):
    for name in ("metric", "telemetry", "steps") * 10:
        grid.event(1, name)
    assert len(grid.run("events").stdout.splitlines()) == 20 and "epoch" not in grid.run("events").stdout

    def shown(*words):
        return {row.split(" job ")[1].split()[1] for row in on_terminal(grid, "events", "-n", "100", *words)[0].splitlines()}
    assert {"state", "epoch"} <= shown() and not shown() & {"metric", "telemetry", "steps"}
    assert {"metric", "steps", "state"} <= shown("--all") and shown("--kind", "metric") == {"metric"}


def test_events_of_half_a_sweep_are_hidden(grid):
    grid.add_sweep(name="half", state="expanding")
    half = grid.sql("SELECT max(id) FROM sweep")[0][0]
    grid.sql("INSERT INTO event (at_ms, sweep, kind) VALUES (1, ?, 'submitted')", half)
    assert f"s{half} " not in grid.run("events").stdout


def test_devices_with_and_without_a_daemon(grid):
    assert [d["state"] for d in grid.json("devices")] == ["no daemon"]
    grid.daemon()
    out = grid.run("devices").stdout.splitlines()
    assert out[1].split() == ["cpu", "ready", "3", "test", "CPU"]


def test_devices_before_anything_trained(place):
    assert "no device has trained here yet" in place.run("devices").stderr


# --- what jobs use ---


def tell(grid, attempt, job=3, **values):
    """A telemetry event."""
    event = grid.event(job, "telemetry", attempt)
    for name, value in values.items():
        grid.sql("INSERT INTO telemetry (event, attempt, at_ms, name, value) VALUES (?, ?, 1, ?, ?)", event, attempt, name,
                 value)


def test_what_a_job_uses(grid):
    """Means are over time; a first stretch of 5 s counts less than one of 30 s."""
    attempt = grid.attempt(8)
    grid.set_state(8, "running")
    assert grid.sql("SELECT * FROM resources WHERE job = 8") == []
    for epoch, watts in ((1, 300.0), (2, 330.0)):
        grid.epoch(8, attempt, epoch, 50.0, ram_mib=600 + epoch, vram_mib=2900 - epoch, watts=watts, joules=33 * watts)
    tell(grid, attempt, 8, seconds=5.0, cpu_percent=40.0, gpu_percent=50.0, watts=150.0, vram_mib=2000, temperature_c=41)
    tell(grid, attempt, 8, seconds=30.0, cpu_percent=110.0, gpu_percent=99.0, watts=412.0, vram_mib=3000, temperature_c=61)
    columns = "ram_mib, vram_mib, watt_hours, watts, watts_max, cpu_percent, gpu_percent, gpu_percent_max, temperature_c"
    assert grid.sql(f"SELECT {columns} FROM resources WHERE job = 8") == [
        (602, 3000, 5.775, 315.0, 412.0, 100.0, 92.0, 99.0, 61.0)]
    assert grid.sql("SELECT model, use_amp, minutes, state FROM resources WHERE job = 8") == [
        ("resnet50", 1, 1.1, "running")]
    out = grid.run("show", 8).stdout
    assert "  memory      host 602 MiB at most, device 3000 MiB\n" in out
    assert "  use         CPU 100 % (110 % at most), GPU 92 % (99 % at most), 61 C at most\n" in out
    assert "  power       315.0 W (412.0 W at most), 5.78 Wh in all\n" in out
    shown = grid.json("show", 8)[0]["resources"]
    assert shown["watt_hours"] == 5.775 and shown["gpu_percent_max"] == 99
    assert [s[0] for s in grid.sql("SELECT seconds FROM samples WHERE job = 8 ORDER BY event")] == [5.0, 30.0]
    grid.sql("UPDATE epoch SET watts = NULL, joules = NULL, vram_mib = NULL WHERE job = 1")
    out = grid.run("show", 1).stdout  # of the time before there was telemetry
    assert "  memory      host 655 MiB at most\n" in out and "power" not in out and "  use " not in out


def test_devices_say_how_busy_they_are(grid):
    """The newest stretch of what runs there; jobs that share a device share its power."""
    assert grid.json("devices")[0]["use"]["text"] == ""
    first = grid.sql("SELECT id FROM attempt WHERE job = 3")[0][0]
    tell(grid, first, seconds=30.0, cpu_percent=10.0)
    tell(grid, first, seconds=30.0, cpu_percent=187.0)
    assert grid.json("devices")[0]["use"] == {"text": "187 %", "cpu_percent": 187.0, "gpu_percent": None, "vram_mib": None,
                                              "watts": None, "temperature_c": None}
    grid.daemon()
    assert grid.run("devices").stdout.splitlines()[1].split() == ["cpu", "ready", "3", "187", "%", "test", "CPU"]
    second = grid.attempt(4, number=2)
    tell(grid, first, seconds=30.0, gpu_percent=97.0, watts=200.0, vram_mib=1000)
    tell(grid, second, 4, seconds=30.0, gpu_percent=95.0, watts=212.0, vram_mib=500)
    assert grid.json("devices")[0]["use"] == {"text": "97 % 412 W", "cpu_percent": None, "gpu_percent": 97.0,
                                              "vram_mib": 1500.0, "watts": 412.0, "temperature_c": None}


def test_show_warns_of_what_is_unusual(grid):
    assert "warnings" not in grid.run("show", 5).stdout
    grid.sql("UPDATE job SET own = json_set(own, '$.min_delta', 0.5, '$.optimizer', 'AdamW') WHERE id = 5")
    out = grid.run("show", 5).stdout
    assert '  warnings    "lr" 0.' in out and 'is much for AdamW' in out
    assert '              "min_delta" 0.5 is not used: "patience" is 0\n' in out
    assert any("min_delta" in sentence for sentence in grid.json("show", 5)[0]["warnings"])


def test_show_warns_of_what_the_attempt_found_unusual(grid):
    """What config says and the attempt says as well is told once; what a worker says cannot paint the terminal."""
    grid.sql("UPDATE job SET own = json_set(own, '$.min_delta', 0.5) WHERE id = 3")
    said = ["mixed precision: no (this CPU has no bf16)", '"min_delta" 0.5 is not used: "patience" is 0', "red \x1b[31m"]
    grid.sql("UPDATE attempt SET details = json_set(details, '$.warnings', json(?)) WHERE job = 3", json.dumps(said))
    out = grid.run("show", 3).stdout
    assert "mixed precision: no (this CPU has no bf16)\n" in out and out.count("min_delta") == 2 and "\x1b" not in out
    assert said[0] in grid.json("show", 3)[0]["warnings"]
