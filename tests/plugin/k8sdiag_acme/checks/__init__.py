"""Two checks: one that works and one that does not import."""
