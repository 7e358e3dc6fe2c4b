"""Basic authentication with bcrypt hashes."""

import base64
import binascii
import os
import threading
import time
from collections.abc import Mapping

# bcrypt is slow by intent, 60 ms of CPU and more: a scrape must not cost that each time. The key
# of what is remembered has the hash in it, so a changed password counts at once.
REMEMBER_SECONDS = 300.0
MOST_REMEMBERED = 100


class Gate:
    """Who may in, by the Authorization header of a request."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._remembered: dict[bytes, float] = {}  # digest of a login that was right -> until
        # One bcrypt at a time: many guesses at once must not take the node's CPUs.
        self._bcrypt = threading.Lock()

    def allows(self, header: str, users: Mapping[str, str]) -> bool:
        """Whether the header is the login of one of the users (name -> bcrypt hash)."""
        import hmac

        kind, _, encoded = header.partition(" ")
        try:
            login = base64.b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        name, colon, password = login.partition(":")
        if kind.lower() != "basic" or not colon:
            return False
        # An unknown user takes as long as a wrong password: names can't be guessed by time.
        hashed = users.get(name) or next(iter(users.values()))
        known = name in users
        digest = hmac.digest(self._secret, f"{name}:{hashed}:{password}".encode(), "sha256")
        if known and self._remembered.get(digest, 0.0) > time.monotonic():
            return True
        with self._bcrypt:
            right = _matches(password, hashed) and known
            if right:
                now = time.monotonic()
                if len(self._remembered) >= MOST_REMEMBERED:
                    self._remembered = {d: t for d, t in self._remembered.items() if t > now}
                self._remembered[digest] = now + REMEMBER_SECONDS
        return right


def _matches(password: str, hashed: str) -> bool:
    import bcrypt

    try:
        # Go, whose tools make the hashes, looks at 72 bytes as bcrypt does; the package raises.
        return bcrypt.checkpw(password.encode()[:72], hashed.encode())
    except ValueError:
        return False
