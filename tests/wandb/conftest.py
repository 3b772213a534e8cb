import pytest
from fake_wandb import FakeWandb


@pytest.fixture
def fake():
    with FakeWandb() as server:
        yield server
    server.check()
