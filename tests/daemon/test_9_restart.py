"""sweepctl daemon restart: another sweepd under systemd, the same workers."""
from conftest import ROOT

# What systemd does for the unit: says whom it started, and starts again after RestartForceExitStatus.
MANAGER = """
while :; do
	sh -c 'export SYSTEMD_EXEC_PID=$$; exec "$@"' sh "$@"
	code=$?
	echo "manager: exit code $code" >&2
	[ $code = 75 ] || exit $code
done
"""


def test_the_unit_restarts_on_that_code():
    unit = (ROOT / "systemd/sweepd.service.in").read_text().splitlines()
    assert "RestartForceExitStatus=75" in unit and "SuccessExitStatus=75" in unit and "KillMode=process" in unit


def test_workers_train_on(place):
    command = place.command
    place.command = lambda *options, **kw: ["/bin/sh", "-c", MANAGER, "sh", *map(str, command(*options, **kw))]
    place.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]})
    place.start()
    job = place.submit(epochs=3)
    place.wait(lambda: place.epochs(job) == [1])
    worker, before = place.worker_pid(), place.ask("status")["pid"]
    said = place.ctl("daemon", "restart").stderr
    after = place.ask("status")["pid"]
    assert said == f"sweepd restarted, pid {after} (was {before}); its workers trained on\n" and after != before
    assert place.state_of(job) == "running" and "manager: exit code 75" in place.log()
    place.go("go")
    place.wait_state(job, "done")
    assert place.attempts(job) == ["done"] and place.epochs(job) == [1, 2, 3] and place.worker_pid() == worker
    assert place.ask("stop")["ok"] and place.process.wait(20) == 0


def test_where_nobody_would_start_it_again_it_goes_on(sweepd):
    said = sweepd.ctl("daemon", "restart", code=6).stderr
    assert "does not run under systemd" in said and "sweepctl daemon stop" in said
    sweepd.wait_idle()
    sweepd.stop()


