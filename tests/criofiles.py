"""CRI-O's files and flags, and what it makes of them: the source is tested with them, and CRI-O.

What it reports was recorded from `crio config` of CRI-O 1.34.0;
tests/real/test_crio_config.py asks CRI-O again.
"""

from collections.abc import Mapping
from typing import NamedTuple

MAIN = "etc/crio/crio.conf"
DROP_INS = "etc/crio/crio.conf.d"


class Valid(NamedTuple):
    """`reports` is the pull_progress_timeout as CRI-O prints it, `source` what set it."""

    id: str
    files: Mapping[str, str]
    reports: str
    source: str = f"/{MAIN}"
    arguments: tuple[str, ...] = ()


class Broken(NamedTuple):
    """CRI-O does not start; `says` is in what the source says."""

    id: str
    files: Mapping[str, str]
    says: str
    arguments: tuple[str, ...] = ()


def timeout(value: str) -> str:
    return f"[crio.image]\npull_progress_timeout = {value}\n"


VALID = [
    Valid("no files", {}, "0s", "default"),
    Valid("nothing of it", {MAIN: '[crio.image]\npause_image = "p"\n'}, "0s", "default"),
    Valid("the main file", {MAIN: timeout('"45s"')}, "45s"),
    Valid("in parts", {MAIN: timeout('"1h0.5m.5s"')}, "1h0m30.5s"),
    Valid("never", {MAIN: timeout('"0"')}, "0s"),
    Valid("a number of nanoseconds", {MAIN: timeout("30000000000")}, "30s"),
    Valid("as one key", {MAIN: 'crio.image.pull_progress_timeout = "6s"\n'}, "6s"),
    Valid("in capitals", {MAIN: '[crio.Image]\nPull_Progress_Timeout = "7s"\n'}, "7s"),
    Valid(
        "in other tables",
        {MAIN: 'pull_progress_timeout = "6s"\n[crio.runtime]\npull_progress_timeout = "6s"\n'},
        "0s",
        "default",
    ),
    Valid(
        "a drop-in over the main file",
        {MAIN: timeout('"1s"'), f"{DROP_INS}/10-a.conf": timeout('"10s"')},
        "10s",
        f"/{DROP_INS}/10-a.conf",
    ),
    Valid(
        "a drop-in that sets it back",
        {MAIN: timeout('"1s"'), f"{DROP_INS}/a": timeout('"0s"')},
        "0s",
        f"/{DROP_INS}/a",
    ),
    Valid(
        "a drop-in that sets something else",
        {MAIN: timeout('"1s"'), f"{DROP_INS}/a": '[crio.image]\nimage_volumes = "bind"\n'},
        "1s",
    ),
    Valid(
        "in the order of characters, not of numbers",
        {f"{DROP_INS}/10-a.conf": timeout('"10s"'), f"{DROP_INS}/9-b.conf": timeout('"9s"')},
        "9s",
        f"/{DROP_INS}/9-b.conf",
    ),
    Valid(
        "capitals before others",
        {f"{DROP_INS}/a.conf": timeout('"1s"'), f"{DROP_INS}/B.conf": timeout('"2s"')},
        "1s",
        f"/{DROP_INS}/a.conf",
    ),
    Valid(
        "a folder in its place among the files",
        {
            f"{DROP_INS}/20-x": timeout('"1s"'),
            f"{DROP_INS}/20.conf": timeout('"3s"'),
            f"{DROP_INS}/20/z.conf": timeout('"2s"'),
        },
        "3s",
        f"/{DROP_INS}/20.conf",
    ),
    Valid(
        "a copy that an editor left",
        {f"{DROP_INS}/a.conf": timeout('"1s"'), f"{DROP_INS}/a.conf~": timeout('"2s"')},
        "2s",
        f"/{DROP_INS}/a.conf~",
    ),
    Valid(
        "hidden files too",
        {f"{DROP_INS}/.a": timeout('"1s"'), f"{DROP_INS}/.b/c": timeout('"2s"')},
        "2s",
        f"/{DROP_INS}/.b/c",
    ),
    Valid(
        "a flag over all files",
        {MAIN: timeout('"1s"'), f"{DROP_INS}/a.conf": timeout('"2s"')},
        "3m0s",
        "--pull-progress-timeout",
        ("--pull-progress-timeout", "3m"),
    ),
    Valid(
        "the last of two flags",
        {MAIN: timeout('"1s"')},
        "4m0s",
        "--pull-progress-timeout",
        ("--pull-progress-timeout=3m", "-pull-progress-timeout=4m"),
    ),
    Valid(
        "files that flags name",
        {
            MAIN: "no TOML at all",
            f"{DROP_INS}/a.conf": "nor this",
            "etc/main.toml": timeout('"1s"'),
            "etc/more/a.conf": timeout('"2s"'),
        },
        "2s",
        "/etc/more/a.conf",
        ("-c", "/etc/main.toml", "--config-dir=/etc/more"),
    ),
    Valid(
        "no main file",
        {MAIN: timeout('"1s"'), f"{DROP_INS}/a.conf": '[crio.image]\npause_image = "p"\n'},
        "0s",
        "default",
        ("--config", ""),
    ),
    Valid(
        "no drop-ins",
        {MAIN: timeout('"1s"'), f"{DROP_INS}/a.conf": timeout('"2s"')},
        "1s",
        arguments=("--config-dir=",),
    ),
    Valid(
        "a folder that is not there", {MAIN: timeout('"1s"')}, "1s", arguments=("-d", "/etc/none")
    ),
]

BROKEN = [
    Broken("no TOML", {MAIN: timeout('"1s"'), f"{DROP_INS}/a": "x = [\n"}, "a: not TOML"),
    Broken("a key twice", {MAIN: timeout('"1s"') + 'pull_progress_timeout = "2s"'}, "not TOML"),
    Broken("no duration", {MAIN: timeout('""')}, "'' is no duration"),
    Broken("a bare number", {MAIN: timeout('"30"')}, "'30' is no duration"),
    Broken("days", {MAIN: timeout('"1d"')}, "'1d' is no duration"),
    Broken("a fraction", {MAIN: timeout("30.5")}, "'30.5' is no duration"),
    Broken("a truth", {MAIN: timeout("true")}, "'True' is no duration"),
    Broken(
        "no such file",
        {MAIN: timeout('"1s"')},
        "none.conf does not exist",
        ("-c", "/etc/none.conf"),
    ),
]
