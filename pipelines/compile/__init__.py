"""From an experiment and a target to one complete pipeline file, and what is handed to a server."""
