"""Sources: one module per way of looking, each with collect(door) -> SomeFact."""
