"""Custom Keras layers, losses and metrics. A ``.keras`` file names them, so import this package before loading one.

Importing the package imports every file in it; ``components.core.sources`` counts all of them as imported.
"""

import importlib
import pkgutil

for _file in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_file}")
