"""The way to the server: certificates and proxies."""
import pytest
from campaign import FAST
from fake_wandb import FakeWandb, make_certificates
from place import a_place


@pytest.fixture
def secure(tmp_path):
    """https servers with an authority of their own: secure(name in the certificate) -> (server, authority's file)."""
    servers = []

    def make(name):
        directory = tmp_path / name
        directory.mkdir()
        servers.append(FakeWandb(tls=make_certificates(directory, name)).up())
        return servers[-1], str(directory / "ca.pem")

    yield make
    for server in servers:
        server.down()
        server.check()


def test_an_authority_of_ones_own(secure):
    server, authority = secure("127.0.0.1")
    with a_place(server) as place:
        place.start()
        place.forward(*FAST, env={"SSL_CERT_FILE": authority})
        job = place.submit_wandb()
        place.wait_forwarded(job)
        assert place.compare(job) == []


@pytest.mark.parametrize("name, trusted", [("other.example", True), ("127.0.0.1", False)])
def test_a_certificate_that_is_not_the_servers(secure, name, trusted):
    server, authority = secure(name)
    with a_place(server) as place:
        place.start()
        place.forward(*FAST, env={"SSL_CERT_FILE": authority} if trusted else {})
        job = place.submit_wandb()
        place.wait_state(job, "done")
        query = "SELECT problem FROM wandb_sweep WHERE problem IS NOT NULL"
        problem, = place.wait(lambda: place.sql(query), "a problem")[0]
        assert "certificate" in problem and server.url in problem
        assert not server.requests, "not a byte of a request was sent"


def test_a_proxy(fake, place):
    place.start()
    address = fake.url
    fake.host = "w-and-b.example"  # which only the proxy knows
    place.forward(*FAST, env={**fake.env(), "http_proxy": address})
    job = place.submit_wandb()
    place.wait_forwarded(job)
    assert fake.proxied > 3 and place.compare(job) == []
