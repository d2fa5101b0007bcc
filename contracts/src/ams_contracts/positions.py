"""A position in the log: the next offset to read from one partition of one version of a topic."""

import re
from typing import Self

from msgspec import Struct

_TEXT = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,18})")
_OFFSET_MAX = 2**63 - 1
_CHARS_MAX = 64


class Position(Struct, frozen=True, order=True):
    """Everything before ``offset`` was read, ``offset`` itself was not. As text ``version.partition.offset``, e.g. ``1.7.4211``."""

    version: int
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.version}.{self.partition}.{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.7.4211``.

        Raises:
            ValueError: The text is not a position.
        """
        match = _TEXT.fullmatch(text) if len(text) <= _CHARS_MAX else None
        if match is None or int(match[3]) > _OFFSET_MAX:
            msg = "a position looks like 1.7.4211: topic version, partition, next offset"
            raise ValueError(msg)
        return cls(int(match[1]), int(match[2]), int(match[3]))
