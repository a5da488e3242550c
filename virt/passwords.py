"""Turning a password into what /etc/shadow holds."""

import subprocess

from virt.names import Refused, gettext_noop

# openssl lies on every machine with SSH and is kept by others; Python's own crypt module is gone since 3.13.
_COMMAND = ("openssl", "passwd", "-6", "-stdin")
_TIMEOUT_S = 10
_MAX_BYTES = 200


def hash_password(password: str) -> str:
    """SHA-512-crypt of `password` with a random salt. The password goes through a pipe, never through arguments.

    Raises Refused for a password no login can type. Blocks for some milliseconds.
    """
    if not password or any(ord(sign) < 32 or ord(sign) == 127 for sign in password):
        raise Refused(gettext_noop("A password must not be empty or contain control characters."))
    try:
        raw = password.encode()
    except UnicodeEncodeError as err:
        raise Refused(gettext_noop("The password contains half a character.")) from err
    if len(raw) > _MAX_BYTES:
        raise Refused(gettext_noop("This is longer than %(max)d bytes."), max=_MAX_BYTES)
    done = subprocess.run(_COMMAND, input=raw + b"\n", capture_output=True, timeout=_TIMEOUT_S, check=True)
    return done.stdout.decode("ascii").strip()
