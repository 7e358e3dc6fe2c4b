"""Checks: one module each, found by the file's name. See docs/write-a-check.md."""
