"""Files that we write: whole or not at all, and known to be possible before minutes of looking."""

import os
import stat
import tempfile
from pathlib import Path

from k8sdiag.model import ConfigError


def must_be_writable(path: Path) -> None:
    """Raises ConfigError when no file can be written there."""
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a folder: name a file in it")
        if not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}")
        if not is_special(path) and not os.access(path.parent, os.W_OK):
            raise ConfigError(f"{path}: the folder {path.parent} is not writable")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def is_special(path: Path) -> bool:
    """A pipe, a terminal, /dev/stderr: what can't be replaced by a file."""
    return path.exists() and not stat.S_ISREG(path.stat().st_mode)


def write(path: Path, data: bytes, mode: int | None = None) -> None:
    """Put a file with this mode (None: as the umask has it) in the place of the old one.

    Whole or not at all, because someone may read it at any moment. Raises ConfigError.
    """
    try:
        if is_special(path):
            path.write_bytes(data)
            return
        umask = os.umask(0)
        os.umask(umask)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            Path(name).chmod(0o666 & ~umask if mode is None else mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
