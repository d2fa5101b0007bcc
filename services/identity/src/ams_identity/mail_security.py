"""How the connection to the mail server is protected. Apart from ``mail``, because settings import no client."""

from typing import Literal

Security = Literal["starttls", "tls", "none"]
