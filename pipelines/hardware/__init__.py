"""Accelerators: the catalog, the planner, and the placement of steps."""
