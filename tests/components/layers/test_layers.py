"""What a saved model calls its layers."""

import pkgutil

import keras

from components import layers
from components.layers import saved_model


def test_no_two_layers_are_saved_under_one_name() -> None:
    saved_model.register()
    rooms = [module.name for module in pkgutil.iter_modules(layers.__path__)]
    own = [
        thing
        for room in rooms
        for thing in vars(getattr(layers, room)).values()
        if isinstance(thing, type) and issubclass(thing, keras.layers.Layer) and thing.__module__.endswith(f".{room}")
    ]
    saved = [thing for thing in own if keras.saving.get_registered_name(thing) != thing.__name__]
    assert len(saved) >= 4
    for thing in saved:
        name = keras.saving.get_registered_name(thing)
        assert keras.saving.get_registered_object(name) is thing, f"{name} is {thing.__module__}'s and another's"
