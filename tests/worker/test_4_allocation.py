"""No memory is asked for per step: twice the steps of training and of its test, and the allocations are as many as before.

oneDNN itself is the exception and only in this: each execution of a primitive puts its arguments and its scratchpad's
books into small tables of its own, six to nine pieces of at most 160 bytes, freed when it returns.  (Scratchpads are ours.)"""
import os

import pytest

from conftest import BUILD, CONFIG, Run, needs_data, types

COUNTER = BUILD / "tests" / "worker" / "libcount_allocs.so"
STEPS, TEST_STEPS = 7, 3
BOOKS_BYTES = 256  # a piece of oneDNN's books is smaller


def allocations(tmp_path, times, config):
    """{(object, offset): (calls, bytes)} of an epoch of so many times the steps, by who asked; the run's first event."""
    size, counts = config["batch_size"], tmp_path / f"counts{times}"
    run = Run(tmp_path, dict(config, train_images=times * STEPS * size, test_images=times * TEST_STEPS * size),
              name=f"times{times}")
    environment = dict(os.environ, LD_PRELOAD=str(COUNTER.resolve()), COUNT_ALLOCS=str(counts),
                       OMP_WAIT_POLICY="passive")
    code, events, err = run.finish(env=environment)
    assert code == 0 and types(events) == ["started", "epoch", "done"], err
    rows = [line.rsplit(" ", 3) for line in counts.read_text().splitlines()]
    assert rows, "nothing was counted"
    return {(path, offset): (int(calls), int(size)) for path, offset, calls, size in rows}, events[0]


@needs_data
@pytest.mark.parametrize("precision, workers, heavy", [("fp32", 0, True), ("fp32", 2, False), ("bf16", 0, False), ("bf16", 2, True)])
def test_twice_the_steps_ask_for_no_more_memory(tmp_path, precision, workers, heavy):
    config = dict(CONFIG, model="resnet8", epochs=1, batch_size=8, num_workers=workers, use_amp=precision == "bf16")
    if heavy:
        config.update(heavy_aug=True, color_jitter_contrast=.3, use_mixup=True, use_cutmix=True, tta="mirror")
    once, started = allocations(tmp_path, 1, config)
    if started["amp"] != precision:
        pytest.skip("this processor has no bf16")
    twice, _ = allocations(tmp_path, 2, config)
    nothing, books = (0, 0), {}
    for place in once.keys() | twice.keys():
        calls, size = (after - before for before, after in zip(once.get(place, nothing), twice.get(place, nothing)))
        if calls < min(STEPS, TEST_STEPS):
            continue  # one more or less for a text of another length or a thread that came late; a step's would be more
        assert "libdnnl" in place[0], f"{calls} more allocations at addr2line -e {' '.join(place)}"
        books[place] = calls, size
    for place, (calls, size) in books.items():
        assert size <= BOOKS_BYTES * calls, f"oneDNN asks for {size} bytes in {calls} pieces at {' '.join(place)}"
