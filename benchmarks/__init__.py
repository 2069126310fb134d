"""Side-by-side measurements; the machine is shared, so ratios count and absolute figures do not."""
