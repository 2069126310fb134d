"""The planner: whether a job fits a row of the catalog, how fast it trains there, how long, and at what cost."""
