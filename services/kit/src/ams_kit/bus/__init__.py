"""The log: Kafka through FastStream and aiokafka. import-linter forbids importing them anywhere else."""

from ams_kit.bus.alarms import Alarm, AlarmKind, OnAlarm
from ams_kit.bus.backlog_reader import BacklogDeletedError, BacklogReader, Chunk
from ams_kit.bus.clients import Kafka
from ams_kit.bus.cluster import ping
from ams_kit.bus.consumer import Consumer, Lag
from ams_kit.bus.errors import LogUnavailableError, PositionMovedError, RecordTooLargeError
from ams_kit.bus.log import Log
from ams_kit.bus.partition import partition_of
from ams_kit.bus.records import LogRecord, PartitionBatch, Projection, Record, StoredPosition
from ams_kit.bus.retention import shortest_retention_ms
from ams_kit.bus.slice_reader import SliceDeletedError, read_slice
from ams_kit.bus.tail import Tail
from ams_kit.bus.topic_reader import LogRecreatedError, TopicReader
from ams_kit.bus.topics import create_topics

__all__ = [
    "Alarm",
    "AlarmKind",
    "BacklogDeletedError",
    "BacklogReader",
    "Chunk",
    "Consumer",
    "Kafka",
    "Lag",
    "Log",
    "LogRecord",
    "LogRecreatedError",
    "LogUnavailableError",
    "OnAlarm",
    "PartitionBatch",
    "PositionMovedError",
    "Projection",
    "Record",
    "RecordTooLargeError",
    "SliceDeletedError",
    "StoredPosition",
    "Tail",
    "TopicReader",
    "create_topics",
    "partition_of",
    "ping",
    "read_slice",
    "shortest_retention_ms",
]
