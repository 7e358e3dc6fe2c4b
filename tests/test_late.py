"""A module that is loaded when it is used, and is then the real one for everybody."""

import subprocess
import sys

SCRIPT = """
import sys
from k8sdiag.late import load_when_used

load_when_used("ssl")
import ssl as first
import http.client
import ssl as second
print("_ssl" in sys.modules)

try:
    raise first.SSLError("loaded now")
except second.SSLError as error:
    print(error)
import ssl as third
print("_ssl" in sys.modules, third.SSLError is first.SSLError, third is sys.modules["ssl"])
print(http.client.HTTPSConnection("127.0.0.1")._context.verify_mode is third.CERT_REQUIRED)
print(hasattr(first, "no_such_thing"), hasattr(first, "__path__"))

load_when_used("ssl")
print(sys.modules["ssl"] is third)
"""


def test_it_is_loaded_at_its_first_use_and_not_before() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        "False",
        "('loaded now',)",
        "True True True",
        "True",
        "False False",
        "True",
    ]
