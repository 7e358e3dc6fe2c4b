"""What to type to set sysctls: pure."""

import shlex
from collections.abc import Mapping

from k8sdiag.model import Remedy


def setting(values: Mapping[str, int | str], what: str, file: str) -> Remedy:
    """Set them now by command, and for the next boot by lines of 90-`file`.conf; see sysctl.d(5).

    Other findings may have lines for the same file.
    """
    lines = "".join(f"{key} = {value}\n" for key, value in values.items())
    return Remedy(
        summary=f"{what}: at once with sysctl -w, for the next boot in /etc/sysctl.d",
        commands=tuple("sysctl -w " + shlex.quote(f"{k}={v}") for k, v in values.items()),
        manifest=f"# lines for /etc/sysctl.d/90-{file}.conf\n{lines}",
    )
