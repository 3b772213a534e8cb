import pytest
from fake_wandb import FakeWandb
from place import a_place


@pytest.fixture
def fake():
    with FakeWandb() as server:
        yield server
    server.check()


@pytest.fixture
def place(fake):
    """A sweepd that has not been started; its sweep-forward is started by the test."""
    with a_place(fake) as one:
        yield one
