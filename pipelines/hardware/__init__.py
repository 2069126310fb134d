"""Which accelerator, at what cost, and how a task asks for it."""
