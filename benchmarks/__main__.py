"""Every measurement side by side with its alternative: ``python -m benchmarks [NAME...]``."""

import importlib
import pkgutil
import sys

import benchmarks

names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if not module.name.startswith("_"))
for name in sys.argv[1:] or names:
    if name not in names:
        sys.exit(f"error: unknown benchmark {name!r}; choose from {', '.join(names)}")
    print(f"== {name}", flush=True)
    importlib.import_module(f"benchmarks.{name}").main()
