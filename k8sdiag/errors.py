"""Every end of a run: one line that says what went wrong, where and what to do, and a code."""

import errno
import io
import logging
import os
import sys
from collections.abc import Callable

import click

from k8sdiag.config import ConfigError

FINE, FINDINGS, USAGE, NOT_JUDGED, INTERRUPTED, PIPE = 0, 1, 2, 3, 130, 141
# Of a write to standard output: whatever else we write to says so by itself.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def one_line(command: Callable[[], object]) -> int:
    """Run a command; its exit code. What it raises becomes one line on stderr."""
    if sys.stdout is None:  # whoever started us has closed it, and wants files or the code alone
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that this locale has no letters for
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = USAGE
    except ConfigError as error:
        code = _say(str(error), USAGE)
    except (KeyboardInterrupt, click.Abort):
        code = _say("interrupted; nothing was changed", INTERRUPTED)
    except SystemExit as end:
        # No command of ours ends so. click does, when the reader goes away (1, our code for
        # findings), and after completing a line for a shell (0).
        if end.code != FINDINGS:
            raise
        code = _unread()
    except OSError as error:
        code = _unread() if isinstance(error, BrokenPipeError) else _unwritten(error)
    except Exception as error:  # noqa: BLE001 - a user never sees a traceback, unless with -v
        code = _bug(error)
    return code if isinstance(code, int) else FINE


def _unread() -> int:
    """The reader has had enough (`| head`)."""
    _drop_stdout()
    return PIPE


def _unwritten(error: OSError) -> int:
    if error.errno not in FULL:
        return _bug(error)
    _drop_stdout()
    return _say(f"standard output cannot be written: {error.strerror}", USAGE)


def _drop_stdout() -> None:
    """Python would write the rest once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(error: Exception) -> int:
    logging.getLogger(__name__).debug("", exc_info=error)
    return _say(
        f"a bug of k8sdiag: {error!r}; run again with `k8sdiag -v` and report it", NOT_JUDGED
    )


def _say(line: str, code: int) -> int:
    click.echo(f"k8sdiag: {' '.join(line.split())}", err=True)
    return code
