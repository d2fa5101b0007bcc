"""Programs that publish to Kafka, against the complete platform and its broker."""

import asyncio
import os
import subprocess
import sys
import uuid
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from tests.client import Account, Project, eventually
from tests.installation import Platform

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(180)]

AGENT = """
import ams

ams.init(announce=False)
with ams.task("By Kafka", user_id="ada") as task:
    print(task.task_id, flush=True)
    with ams.llm("answer", model="gpt-4o-mini", input=[{"role": "user", "content": "How warm is it?"}]) as step:
        step.set(provider="openai").output = "21 degrees"
        step.usage(input=1000, output=100)
assert ams.flush(30).complete
"""


@pytest.fixture(scope="module")
def project(platform: Platform) -> Project:
    return Account(platform.url).project("kafka")


def exchanged(project: Project, key: str | None = None) -> dict[str, Any]:
    question = {"api_key": key or project.key, "audience": "ams-inbound"}
    return httpx.post(f"{project.http.base_url}/api/auth/token", json=question, timeout=30).raise_for_status().json()


def publish(grant: dict[str, Any], *, key: str, token: str) -> None:
    """Publish one record as a program that knows the broker does."""

    async def send() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=grant["kafka"]["bootstrap"])
        await producer.start()
        try:
            headers = [("v", b"1"), ("authorization", f"Bearer {token}".encode())]
            await producer.send_and_wait(grant["kafka"]["topic"], b'{"v":1,"batches":[]}', key=key.encode(), headers=headers)
        finally:
            await producer.stop()

    asyncio.run(send())


def letters(project: Project) -> list[str]:
    found = project.http.get(f"/api/ingest/{project.id}/dead-letters").raise_for_status().json()["items"]
    return [letter["reason"] for letter in found]


def test_a_program_with_the_transport_kafka_appears_like_any_other(platform: Platform, project: Project) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AMS_")} | {
        "AMS_ENDPOINT": platform.url,
        "AMS_API_KEY": project.key,
        "AMS_TRANSPORT": "kafka",
    }
    agent = subprocess.run([sys.executable, "-c", AGENT], env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert (agent.returncode, agent.stderr) == (0, "")
    task_id = agent.stdout.strip()

    def ended() -> Any:
        answer = project.http.get(f"/api/traces/{project.id}/tasks/{task_id}")
        return answer.json()["task"] if answer.status_code == 200 and answer.json()["task"]["status"] == "ok" else None

    task = eventually(ended, bool)
    assert (task["name"], task["user_id"], task["steps"], task["input_tokens"], task["output_tokens"]) == ("By Kafka", "ada", 2, 1000, 100)
    assert float(task["cost_usd"]) > 0
    assert letters(project) == []


def test_a_record_of_another_project_is_a_dead_letter_of_the_tokens_project(platform: Platform) -> None:
    project = Account(platform.url).project("signer")
    grant = exchanged(project)

    publish(grant, key=f"{uuid.uuid4()}:{'a' * 32}", token=grant["access_token"])

    assert eventually(lambda: letters(project), bool) == ["foreign_project"]
    assert grant["kafka"]["security"] == {"protocol": "PLAINTEXT", "sasl_mechanism": ""}
    assert grant["expires_in"] == 3_600


def test_a_forged_token_and_a_revoked_key_leave_nothing_in_the_project(platform: Platform) -> None:
    project = Account(platform.url).project("revoked")
    grant = exchanged(project)
    project.http.delete(f"/api/projects/{project.id}/keys/{grant['key_id']}").raise_for_status()
    publish(grant, key=f"{project.id}:{'a' * 32}", token=grant["access_token"])
    publish(grant, key=f"{project.id}:{'a' * 32}", token=grant["access_token"][:-8] + "AAAAAAAA")

    second = project.http.post(f"/api/projects/{project.id}/keys", json={"name": "other"}).raise_for_status().json()["key"]
    fresh = exchanged(project, second)
    publish(fresh, key=f"{uuid.uuid4()}:{'a' * 32}", token=fresh["access_token"])
    refused = httpx.post(f"{project.http.base_url}/api/auth/token", json={"api_key": project.key, "audience": "ams-inbound"}, timeout=30)

    assert eventually(lambda: letters(project), bool) == ["foreign_project"]  # the only one whose token is verified and valid
    assert refused.status_code == 401


def test_a_key_without_the_scope_ingest_gets_no_token_for_kafka(platform: Platform, project: Project) -> None:
    created = project.http.post(f"/api/projects/{project.id}/keys", json={"name": "reader", "scopes": ["read"]}).raise_for_status().json()

    answer = httpx.post(f"{platform.url}/api/auth/token", json={"api_key": created["key"], "audience": "ams-inbound"}, timeout=30)

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
