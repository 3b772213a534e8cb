"""What tests/chaos found, one test each."""
import os
import signal

from conftest import WORKER, wait_until


def test_a_worker_whose_log_cannot_be_opened(sweepd):
    sweepd.wait_idle()
    workers = sweepd.state / "workers"
    workers.rename(sweepd.state / "elsewhere")
    workers.write_text("")
    os.kill(sweepd.worker_pid(), signal.SIGKILL)
    wait_until(lambda: "cannot start a worker: cannot create" in sweepd.log(), "the start that fails")
    assert sweepd.ask("status")["ok"]
    workers.unlink()
    (sweepd.state / "elsewhere").rename(workers)
    sweepd.wait_idle()
    sweepd.stop()


def test_several_real_workers_share_the_cpu(place):
    place.start("--devices", 2, "--threads", 1, worker=WORKER)
    place.wait_idle()
    assert [d["id"] for d in place.ask("status")["devices"]] == ["cpu:0", "cpu:1"]
    place.stop()
