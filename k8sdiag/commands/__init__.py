"""The commands, one module per subject; cli.py puts them together.

Thin: each collects or loads a snapshot, judges it and prints. They import what is heavy inside.
"""
