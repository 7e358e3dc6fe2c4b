"""Pages that stand for what a format gives; K8SDIAG_WRITE_GOLDEN=1 writes them anew."""

import os
from pathlib import Path

PAGES = Path(__file__).parents[1] / "testdata" / "reports"


def assert_page(name: str, text: str) -> None:
    """The text is what the page of this name says, byte for byte."""
    page = PAGES / name
    if os.environ.get("K8SDIAG_WRITE_GOLDEN"):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_bytes(text.encode())
    hint = f"if {name} may change: K8SDIAG_WRITE_GOLDEN=1 pytest tests/exporters, and read the diff"
    assert text == page.read_bytes().decode(), hint
