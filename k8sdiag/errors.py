"""Every end of a run: one line that says what went wrong, where and what to do, and a code."""

import logging
import os
import sys
from collections.abc import Callable

import click

from k8sdiag.config import ConfigError

FINE, FINDINGS, USAGE, NOT_JUDGED, INTERRUPTED, PIPE = 0, 1, 2, 3, 130, 141


def one_line(command: Callable[[], object]) -> int:
    """Run a command; its exit code. What it raises becomes one line on stderr."""
    try:
        code = command()
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return USAGE
    except ConfigError as error:
        return _say(str(error), USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted; nothing was changed", INTERRUPTED)
    except BrokenPipeError:
        # The reader has had enough (`| head`). Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE
    except Exception as error:  # a user never sees a traceback, unless with -v
        logging.getLogger(__name__).debug("", exc_info=True)
        return _say(
            f"a bug of k8sdiag: {error!r}; run again with `k8sdiag -v` and report it", NOT_JUDGED
        )
    return code if isinstance(code, int) else FINE


def _say(line: str, code: int) -> int:
    click.echo(f"k8sdiag: {' '.join(line.split())}", err=True)
    return code
