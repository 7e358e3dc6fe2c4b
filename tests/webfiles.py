"""The web configuration files of the tests, and the certificates that they name."""

import shutil
from pathlib import Path

from tests.real.pki import Authority

FOLDER = Path(__file__).parent / "testdata" / "web"
# promtool and we agree on these ...
GOOD = sorted((FOLDER / "good").glob("*.yml"))
BAD = sorted((FOLDER / "bad").glob("*.yml"))
# ... and these we refuse though promtool takes them: they could not be kept as promised.
REFUSED = sorted((FOLDER / "refused").glob("*.yml"))


def certificates(folder: Path) -> Authority:
    """server.crt and server.key, ca.crt of their authority, and other.key of another pair."""
    authority = Authority(folder)
    authority.issue("server")
    authority.issue("other")
    return authority


def beside_certificates(file: Path, folder: Path) -> Path:
    certificates(folder)
    return Path(shutil.copy(file, folder / "web.yml"))
