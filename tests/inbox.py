"""A real mail server on loopback, for tests."""

import email
import socket
import threading
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller


class Inbox:
    """A mail server on loopback, which keeps what it receives."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.refusals = 0  # the next messages that it refuses for now
        self._arrived = threading.Condition()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  the library's name
        with self._arrived:
            if self.refusals > 0:
                self.refusals -= 1
                return "451 Try again later"
            self.messages.append(email.message_from_bytes(envelope.content))
            self._arrived.notify_all()
        return "250 OK"

    def next_to(self, address: str, subject: str, seconds: float = 10) -> str:
        """The text of the newest message with this subject to an address, once it arrives. Removes it."""

        def found() -> Message | None:
            return next((item for item in reversed(self.messages) if item["To"] == address and item["Subject"] == subject), None)

        with self._arrived:
            assert self._arrived.wait_for(lambda: found() is not None, seconds), f"no message {subject!r}"
            message = found()
            assert message is not None
            self.messages.remove(message)
        return message.get_payload(decode=True).decode()  # pyright: ignore[reportAttributeAccessIssue]

    def count(self) -> int:
        with self._arrived:
            return len(self.messages)
