"""Email: sent in the background, in the order of a bounded queue. Optional: without a server there is no mail, and links come from the administrator.

Messages wait in memory and not in a table, because they contain links that are credentials. A restart loses what waits; people ask again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from email.message import EmailMessage

import aiosmtplib
import structlog
from msgspec import Struct

from ams_identity.mail_security import Security
from ams_kit.errors import UnavailableError

QUEUE_MAX = 200
ATTEMPTS = 3
PAUSE_SECONDS = (2.0, 15.0)
TIMEOUT_SECONDS = 15

logger = structlog.get_logger(__name__)


class Mail(Struct, frozen=True, kw_only=True):
    """A message to one person."""

    to: str
    subject: str
    text: str


class Server(Struct, frozen=True, kw_only=True):
    """The mail server. ``sender``: the address in ``From``; ``username``: empty without authentication."""

    host: str
    port: int
    security: Security
    username: str
    password: str
    sender: str


Job = Callable[[], Awaitable[Mail | None]]
"""Makes a message once it is its turn; ``None``: there is nothing to send. So a request for an unknown account takes as long as for a known one."""


class Mailer:
    """Sends messages in the background.

    Args:
        server: ``None``: the installation sends no email.
    """

    def __init__(self, server: Server | None) -> None:
        self._server = server
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(QUEUE_MAX)

    @property
    def enabled(self) -> bool:
        return self._server is not None

    def submit(self, job: Job) -> None:
        """Queue a message.

        Raises:
            UnavailableError: The queue is full.
        """
        try:
            self._jobs.put_nowait(job)
        except asyncio.QueueFull as error:
            raise UnavailableError("Too many messages wait to be sent. Try again in a minute.", retry_after_seconds=60) from error

    def send(self, mail: Mail) -> None:
        """Queue a message that is ready.

        Raises:
            UnavailableError: The queue is full.
        """

        async def job() -> Mail:
            return mail

        self.submit(job)

    async def run(self) -> None:
        """Send until the background tasks stop."""
        while True:
            job = await self._jobs.get()
            mail = await job()
            if mail is not None and self._server is not None:
                await self._deliver(self._server, mail)

    async def _deliver(self, server: Server, mail: Mail) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await _send(server, mail)
            except (aiosmtplib.SMTPException, OSError, ValueError) as error:
                permanent = isinstance(error, ValueError | aiosmtplib.SMTPRecipientsRefused)
                # neither the address nor the text of the error, which may repeat it
                logger.warning("a message could not be sent", server=server.host, attempt=attempt + 1, error_type=type(error).__name__)
                if permanent or attempt == ATTEMPTS - 1:
                    return
                await asyncio.sleep(PAUSE_SECONDS[attempt])
            else:
                logger.info("a message was sent", subject=mail.subject)
                return


async def _send(server: Server, mail: Mail) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = server.sender, mail.to, mail.subject
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    await aiosmtplib.send(
        message,
        hostname=server.host,
        port=server.port,
        use_tls=server.security == "tls",
        start_tls=server.security == "starttls",
        username=server.username or None,
        password=server.password or None,
        timeout=TIMEOUT_SECONDS,
    )
