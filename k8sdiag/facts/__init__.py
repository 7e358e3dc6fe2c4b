"""Facts: structs only, one file per subject."""
