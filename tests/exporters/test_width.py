"""Sentences are wrapped for a terminal and for nothing else."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

PRINT = """
from k8sdiag import output
from k8sdiag.exporters import table
from tests.exporters.reports import FOUR_FAILURES
print(output.render(table, FOUR_FAILURES, to_stdout={}), end="")
"""
COLUMNS = 60
SENTENCE = "NOSPACE is raised: the API takes no write; 1.9 GiB of 2 GiB is used."


def on_a_terminal(code: str) -> str:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code],
        stdout=theirs,
        check=True,
        env=os.environ | {"COLUMNS": str(COLUMNS)},
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    os.close(theirs)
    pieces = []
    while True:
        try:
            pieces.append(os.read(ours, 4096))
        except OSError:  # Linux ends a terminal whose other side is closed with EIO
            break
    os.close(ours)
    return b"".join(pieces).decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("to_stdout", "wrapped"),
    [pytest.param(False, False, id="a file"), pytest.param(True, True, id="the terminal itself")],
)
def test_with_a_terminal_as_stdout(to_stdout: bool, wrapped: bool) -> None:
    text = on_a_terminal(PRINT.format(to_stdout))

    assert (SENTENCE not in text) is wrapped
    assert SENTENCE in " ".join(text.split())


def test_a_pipe_gets_whole_sentences() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PRINT.format(True)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": str(COLUMNS)},
        cwd=Path(__file__).parents[2],
        timeout=60,
    )

    assert SENTENCE in found.stdout
