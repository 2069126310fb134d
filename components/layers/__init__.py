"""Layers of our own, registered with Keras: a ``.keras`` file names them, and is loaded after this package is.

Every file here is imported, so that one more is one more file and nothing else; ``components.core.sources`` knows that
whatever imports this package stands on all of them.
"""

import importlib
import pkgutil

for _file in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_file}")
