"""The planner: how fast, how long, how dear and whether at all, for each row of the catalog."""
