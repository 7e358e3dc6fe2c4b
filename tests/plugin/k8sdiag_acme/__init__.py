"""A stranger's plugin, as docs/write-a-check.md tells to write one."""
