"""leaderboard, events, devices: from the store, and devices from the daemon where one runs."""


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
