"""export: an accepted model in, checked and timed formats out, published as the champion."""
