"""``python -m ams_local.servers.fetch_jars``: fetch Kafka's jars from Maven Central by jgo and compare them with the committed list.

jgo resolves and caches by itself (settings of its own: ``~/.jgorc``, ``JGO_*``); what it brings is copied once it is known to be right.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import jgo

from ams_local.servers.base import ServerError
from ams_local.servers.jars import COORDINATES, VERIFIED, cache_folder, jars_are_here, jars_folder, known_hashes


def _check(found: dict[str, Path], target: Path) -> None:
    for name, digest in known_hashes().items():
        if name not in found:
            raise ServerError(f"Kafka's jar {name} was not among those fetched")
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != digest:
            raise ServerError(f"Kafka's jar {name} is not the one that this version of AMS was built with; it is not used")
        shutil.copy2(found[name], target / name)


def fetch_jars() -> None:
    """Some 20 s at the first time.

    Raises:
        ServerError: See ``ensure_jars``.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="kafka-fetch-") as scratch:
        try:
            found = {path.name: path for path in map(Path, jgo.build(COORDINATES, cache_dir=Path(scratch)).all_jars)}
        except Exception as error:
            raise ServerError(f"Kafka's jars cannot be fetched from Maven Central: {type(error).__name__}: {error}") from error
        ready = Path(scratch) / "ready"
        ready.mkdir()
        _check(found, ready)
        (ready / VERIFIED).touch()
        if not jars_are_here():
            shutil.rmtree(jars_folder(), ignore_errors=True)
            ready.rename(jars_folder())


if __name__ == "__main__":
    try:
        fetch_jars()
    except ServerError as problem:
        sys.exit(str(problem))
