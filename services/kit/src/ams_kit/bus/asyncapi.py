"""The AsyncAPI document of the log: the topics and the schemas of their records.

FastStream generates the document but does not support msgspec structs, so this module adds their schemas afterwards.
"""

from typing import Any

import msgspec
from faststream.kafka import KafkaBroker
from faststream.specification import AsyncAPI

from ams_contracts.alerts import AlertEvent
from ams_contracts.events import Batch
from ams_contracts.identity_events import IdentityEvent
from ams_contracts.native import NativeRequest
from ams_contracts.topics import ALERTS, IDENTITY, INBOUND, PAYLOADS, STEPS, TASKS, TOPICS, Topic
from ams_contracts.views import TaskChanged
from ams_kit.bus.topics import topic_config

COMPONENTS = "#/components/schemas/{name}"

PAYLOAD_TYPES: dict[str, Any] = {
    STEPS.name: Batch,
    PAYLOADS.name: Batch,
    TASKS.name: TaskChanged,
    IDENTITY.name: IdentityEvent,
    INBOUND.name: NativeRequest,
    ALERTS.name: AlertEvent,
}
DESCRIPTIONS = {
    STEPS.name: "Step and task events, batches of one task. Key: project:task. Only intake writes it.",
    PAYLOADS.name: "Inputs, outputs, unmapped span attributes, and media: events payload.stored and media.stored. Key: project:task. Only intake writes it.",
    TASKS.name: "A task's row after a commit, for live lists; a hint that may be lost. Key: project:task. A null value: the task was deleted.",
    INBOUND.name: "Requests of SDKs that publish to Kafka: the bytes of POST /v1/batches. Key: project:task. Header authorization: Bearer <token>.",
    IDENTITY.name: "Changes of users, projects and API keys.",
    ALERTS.name: "Alerts that were raised, ended or acknowledged. Key: project:rule. Only trace-query writes it.",
}


def asyncapi_document() -> dict[str, Any]:
    """Build the document (AsyncAPI 3.0.0), with a placeholder for the broker's address."""
    broker = KafkaBroker("kafka:9092")
    for topic in TOPICS:
        broker.publisher(topic.name, title=topic.name, description=DESCRIPTIONS[topic.name])
    document: dict[str, Any] = AsyncAPI(broker, title="AMS log", version="1").to_specification().to_jsonable()
    schemas, components = msgspec.json.schema_components([PAYLOAD_TYPES[topic.name] for topic in TOPICS], ref_template=COMPONENTS)
    for topic, schema in zip(TOPICS, schemas, strict=True):
        message = document["components"]["messages"].pop(f"{topic.name}:Message")
        document["components"]["messages"][topic.name] = {**message, "title": topic.name, "payload": schema, "headers": _headers(topic)}
        document["components"]["messages"][topic.name].pop("correlationId", None)
        channel = document["channels"][topic.name]
        channel["messages"] = {"record": {"$ref": f"#/components/messages/{topic.name}"}}
        channel["bindings"]["kafka"] |= {"partitions": topic.partitions, "topicConfiguration": _configuration(topic)}
        document["operations"][topic.name]["messages"] = [{"$ref": f"#/channels/{topic.name}/messages/record"}]
    document["components"]["schemas"] = dict(sorted(components.items()))
    document["servers"] = {"log": {"host": "kafka:9092", "protocol": "kafka", "description": "AMS_KAFKA_BOOTSTRAP"}}
    for channel in document["channels"].values():
        channel["servers"] = [{"$ref": "#/servers/log"}]
    return document


def asyncapi_text() -> str:
    """Return the text of the document's file."""
    return msgspec.json.format(msgspec.json.encode(asyncapi_document(), order="sorted"), indent=2).decode() + "\n"


def _headers(topic: Topic) -> dict[str, Any]:
    text = {"type": "string"}
    if topic is INBOUND:
        return {"type": "object", "properties": {"v": text, "authorization": text}}
    return {"type": "object", "properties": {"v": text, "kinds": text, "key_id": text}}


def _configuration(topic: Topic) -> dict[str, Any]:
    config = topic_config(topic, min_isr=1)
    configuration: dict[str, Any] = {"cleanup.policy": [config["cleanup.policy"]], "max.message.bytes": int(config["max.message.bytes"])}
    if "retention.ms" in config:
        configuration["retention.ms"] = int(config["retention.ms"])
    return configuration
