"""One form for figures that stand in one table, whichever benchmark they come from."""


def row(what: str, found: str, beside: str = "", verdict: str = "") -> None:
    """Print a figure, what stands beside it, and what that means."""
    print(f"{what:44}{found:>15}{beside:>16}  {verdict}".rstrip(), flush=True)
