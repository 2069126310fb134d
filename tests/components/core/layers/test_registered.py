"""Layers of our own among Keras's registered ones."""

import inspect
import pkgutil
from importlib import import_module

import keras

from components.core import layers


def test_every_layer_has_a_registered_name_of_its_own() -> None:
    modules = [import_module(f"{layers.__name__}.{found.name}") for found in pkgutil.iter_modules(layers.__path__)]
    own = [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer) and value.__module__ == module.__name__
    ]
    assert len(own) > 5
    for layer in own:
        name = keras.saving.get_registered_name(layer)
        assert name == f"suanli>{layer.__name__}"
        assert keras.saving.get_registered_object(name) is layer, f"{name} is registered twice"
