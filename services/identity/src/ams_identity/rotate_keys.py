"""``ams-identity rotate-keys``: asks the service on this machine to rotate the signing keys. For containers; on one machine there is ``ams keys rotate``."""

import sys

import httpx

from ams_kit.auth import service_token

TIMEOUT_SECONDS = 10
AUDIENCE = "identity"


def rotate_keys(port: int, service_secret: str) -> int:
    """Rotate the keys and print what follows.

    Args:
        port: Of identity, on loopback.
        service_secret: ``AMS_SERVICE_SECRET``.

    Returns:
        The exit code: 0, or 1 when identity refused or does not answer.
    """
    headers = {"Authorization": f"Bearer {service_token(service_secret, AUDIENCE, 'rotate-keys')}"}
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/internal/signing-keys/rotate", headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )
    except httpx.HTTPError as error:
        sys.stderr.write(f"identity does not answer ({type(error).__name__})\n")
        return 1
    if answer.is_error:
        sys.stderr.write(f"{answer.json().get('detail') or answer.status_code}\n")
        return 1
    rotation = answer.json()
    sys.stdout.write(f"key {rotation['kid']} signs from {rotation['signs_from']} on; {rotation['published']} keys are published\n")
    return 0
