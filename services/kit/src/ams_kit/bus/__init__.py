"""The log: Kafka through FastStream and aiokafka, and the only place that imports them."""

from ams_kit.bus.alarms import Alarm, AlarmKind, OnAlarm
from ams_kit.bus.catch_up import CatchUp, Stretch, TooFarBackError
from ams_kit.bus.cluster import ping
from ams_kit.bus.consumer import Consumer, Lag
from ams_kit.bus.errors import LogUnavailableError, PositionMovedError, RecordTooLargeError
from ams_kit.bus.log import Log
from ams_kit.bus.partition import partition_of
from ams_kit.bus.reader import OtherLogError, Reader
from ams_kit.bus.records import LogRecord, Projection, Record, Slice, Stored
from ams_kit.bus.tail import Tail
from ams_kit.bus.topics import create_topics

__all__ = [
    "Alarm",
    "AlarmKind",
    "CatchUp",
    "Consumer",
    "Lag",
    "Log",
    "LogRecord",
    "LogUnavailableError",
    "OnAlarm",
    "OtherLogError",
    "PositionMovedError",
    "Projection",
    "Reader",
    "Record",
    "RecordTooLargeError",
    "Slice",
    "Stored",
    "Stretch",
    "Tail",
    "TooFarBackError",
    "create_topics",
    "partition_of",
    "ping",
]
