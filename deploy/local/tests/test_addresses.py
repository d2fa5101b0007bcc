"""Addresses of servers that a person names."""

import socket
from collections.abc import Iterator

import pytest

from ams_local.addresses import check_kafka, check_postgres, check_redis
from ams_local.servers.base import ServerError


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_what_answers_is_taken(port: int) -> None:
    database = check_postgres(f"postgresql://u:p%40ss@127.0.0.1:{port}/postgres")

    assert database.url("ams_owner", "pw", "ams_traces") == f"postgresql://ams_owner:pw@127.0.0.1:{port}/ams_traces"
    assert check_redis(f"redis://:pw@127.0.0.1:{port}/0").startswith("redis://")
    assert check_kafka(f"127.0.0.1:1,127.0.0.1:{port}") == f"127.0.0.1:1,127.0.0.1:{port}"


def test_of_several_hosts_of_postgres_the_primary_is_used(port: int) -> None:
    database = check_postgres(f"postgresql://u:pw@127.0.0.1:1,127.0.0.1:{port}/postgres?sslmode=require")

    assert database.url("ams_writer", "pw", "ams_traces") == (
        f"postgresql://ams_writer:pw@127.0.0.1:1,127.0.0.1:{port}/ams_traces?sslmode=require&target_session_attrs=read-write"
    )
    with pytest.raises(ServerError, match="nothing answers"):
        check_postgres("postgresql://u:pw@127.0.0.1:1,127.0.0.1:2/postgres")


@pytest.mark.parametrize("address", ["", "here", "here:", "here:0", "here:70000", ":9092", "http://here:9092"])
def test_what_is_no_broker_address_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ServerError, match="host:9092"):
        check_kafka(address)


@pytest.mark.parametrize("url", ["here", "postgresql://", "postgresql://h:x/db", "mysql://h/db"])
def test_what_is_no_postgres_url_is_refused_without_telling_a_password(url: str) -> None:
    with pytest.raises(ServerError, match="--postgres"):
        check_postgres(url)


def test_nobody_at_the_address_is_said_without_telling_a_password() -> None:
    with pytest.raises(ServerError) as refused:
        check_redis("redis://:topsecret@127.0.0.1:1/0")

    assert "nothing answers at 127.0.0.1:1" in str(refused.value)
    assert "topsecret" not in str(refused.value)
