"""RetinaNet of keras-hub: its anchors, its presets, and what is said without them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.layers import saved_model
from components.models import retinanet


def test_retinanet_without_keras_hub_is_refused_in_a_line() -> None:
    script = """
import sys
sys.modules["keras_hub"] = None
from components.core.errors import StepError
from components.models import retinanet
try:
    retinanet.build(retinanet.Settings(), (128, 128, 3), 2)
except StepError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "the model retinanet needs keras-hub, which is not installed; "
        "install the extra hub (pip install 'suanli[hub]'), or use model.name=detector\n"
    )


def test_a_preset_that_is_not_there_is_told() -> None:
    from components.core.errors import StepError

    pytest.importorskip("keras_hub")
    with pytest.raises(StepError, match="no such folder: /nowhere; set model"):
        retinanet.build(retinanet.Settings(preset="/nowhere"), (128, 128, 3), 2)


# keras-hub's class compiles itself when it is loaded, with an optimizer that no file has.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.slow
def test_retinanet_has_keras_hubs_anchors_and_loads_again(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    network = retinanet.build(retinanet.Settings(depth=18, head=1), (128, 256, 3), 5)
    anchors = hub.layers.AnchorGenerator("center_xywh", 3, 7, 3, [0.5, 1.0, 2.0], 4)(np.zeros((128, 256, 3)))
    expected = np.concatenate([np.asarray(level) for level in anchors.values()])
    assert np.array_equal(network.get_layer("boxes").priors(), expected)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 128, 256, 3), np.uint8)
    found = network.predict(pixels, verbose=0)
    assert found.shape == (1, len(expected), 4 + 5)
    network.save(tmp_path / "model.keras")
    assert np.array_equal(saved_model.load(tmp_path / "model.keras").predict(pixels, verbose=0), found)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning")
@pytest.mark.filterwarnings("ignore:A total of 1 objects could not be loaded:UserWarning")
@pytest.mark.slow
def test_a_local_preset_brings_its_weights_and_may_have_other_classes(tmp_path: Path) -> None:
    hub = pytest.importorskip("keras_hub")
    made = retinanet._new(hub, retinanet.Settings(depth=18, head=1), 5)
    made.save_to_preset(str(tmp_path / "preset"))
    settings = retinanet.Settings(preset=str(tmp_path / "preset"))
    for units, alike in ((5, True), (3, False)):
        network = retinanet.build(settings, (128, 128, 3), units)
        assert network.output_shape[-1] == 4 + units
        inner = next(layer for layer in network.layers if isinstance(layer, hub.models.RetinaNetObjectDetector))
        kernel = inner.box_head.prediction_layer.kernel
        assert np.array_equal(np.asarray(kernel), np.asarray(made.box_head.prediction_layer.kernel)) == alike
        for one, other in zip(inner.backbone.weights, made.backbone.weights, strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))
