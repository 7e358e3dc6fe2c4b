"""What a node that starts has to pull, how it pulls, and what goes wrong with pulls. Pure."""
