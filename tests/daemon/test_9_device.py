"""A device with faults of its own is set aside; its jobs go to others and lose nothing; it comes back by itself."""
import json


def device(sweepd, name):
    return next(d for d in sweepd.ask("status")["devices"] if d["id"] == name)


def all_done(sweepd):
    return not sweepd.sql("SELECT 1 FROM job WHERE state <> 'done'")


BROKEN = {"devices": {"cpu:0": [["failed", "device", "fell off the bus"]]}, "pace_s": 0.03}


def test_a_broken_device_burns_no_sweep(place):
    """And stays aside over kill -9 of the daemon, until it has worked again."""
    place.script(**BROKEN)
    place.start("--devices", 2)
    place.wait_idle()
    place.submit(n=12, epochs=4, retries=0)
    place.wait(lambda: all_done(place))
    faults = place.one("SELECT count(*) FROM attempt WHERE device = 'cpu:0' AND class = 'device'")[0]
    assert 3 <= faults < 9  # three in a row, of more than one job
    assert place.one("SELECT count(*) FROM attempt WHERE device = 'cpu:0'") == (faults,)
    assert place.one("SELECT count(*) FROM attempt WHERE state = 'done' AND device = 'cpu:1'") == (12,)
    assert place.one("SELECT sum(retries_used) FROM job") == (0,)
    why = f"{faults} faults in a row, the last: fell off the bus"
    assert device(place, "cpu:0")["state"] == "set_aside" and "tried again in" in device(place, "cpu:0")["reason"]
    assert place.one("SELECT state, reason, times_aside FROM device WHERE id = 'cpu:0'") == ("set_aside", why, 1)
    out = place.ctl("devices").stdout
    assert "set_aside" in out and why in out
    assert len(place.sql("SELECT 1 FROM event WHERE kind = 'device' AND detail ->> 'state' = 'set_aside'")) == 1
    place.kill()
    place.start("--devices", 2)
    assert device(place, "cpu:0")["state"] == "set_aside" and why in device(place, "cpu:0")["reason"]
    place.stop()
    assert place.one("SELECT state, reason FROM device WHERE id = 'cpu:0'") == ("set_aside", why)


def test_it_is_tried_again_and_comes_back(place):
    place.script(**BROKEN)
    place.start("--devices", 2, "--aside-ms", 100)
    place.wait_idle()
    place.submit(n=40, epochs=4, retries=0)
    place.wait(lambda: place.sql("SELECT 1 FROM device WHERE times_aside >= 2"))
    place.script(pace_s=0.03)
    place.wait(lambda: place.sql("SELECT 1 FROM epoch e JOIN attempt a ON a.id = e.attempt WHERE a.device = 'cpu:0'"))
    place.wait(lambda: place.one("SELECT state, reason, times_aside FROM device WHERE id = 'cpu:0'") == ("ready", None, 0))
    place.wait(lambda: all_done(place))
    details = [json.loads(d) for d, in place.sql("SELECT detail FROM event WHERE kind = 'device' ORDER BY id")]
    assert [d["state"] for d in details][-2:] == ["set_aside", "ready"] and details[-1]["device"] == "cpu:0"
    assert {d["state"] for d in details[:-1]} == {"set_aside"}
    place.stop()


def test_crashes_of_several_jobs_are_the_devices_too(place):
    place.script(devices={"cpu:0": [["signal", 11]]}, pace_s=0.03)
    place.start("--devices", 2)
    place.wait_idle()
    place.submit(n=16, epochs=4, retries=3)
    place.wait(lambda: all_done(place))
    assert device(place, "cpu:0")["state"] == "set_aside"
    assert "faults in a row, the last: worker killed by signal 11" in device(place, "cpu:0")["reason"]
    place.stop()


def test_one_job_that_crashes_is_not_the_devices_fault(sweepd):
    sweepd.script({1: [[["signal", 11]]] * 3})
    job = sweepd.submit(retries=2)
    sweepd.wait_state(job, "failed")
    sweepd.wait_idle()
    assert device(sweepd, "cpu")["state"] == "ready"
    sweepd.stop()
