"""Who may register on an installation."""

from typing import Literal

Registration = Literal["open", "invite", "closed"]
"""Everybody, people with an invitation, or nobody but the administrator."""
