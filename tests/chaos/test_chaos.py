"""The short campaign of every test run; tests/chaos/run.sh is the long one."""
import chaos


def test_invariants_hold_after_kills_and_mishaps_at_any_instant():
    assert chaos.campaign(kills=90, seed=7) == 0
