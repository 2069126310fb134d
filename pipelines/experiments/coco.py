"""COCO 2017 with RetinaNet at 512 px: 118,287 pictures, 80 classes, from fresh weights.

    suanli plan coco --deadline 24h
    suanli submit coco --target gke --accelerator v6e-1:spot,v5e-4

Not run here: TensorFlow Datasets downloads 25 GB, and training wants an accelerator. The planner expects 3.6 hours and
9.60 USD on a v6e-1, 3.1 hours and 14.97 USD on a v5e-4. From a residual network trained on ImageNet the paper's mAP at
500 px is 0.325 (arXiv:1708.02002, table 1e); fresh weights reach about the same, in six times as many epochs (He et
al., 2018, arXiv:1811.08883).

With a local folder of keras-hub's preset, 12 epochs are enough: add
``--set model.preset=FOLDER --set training.epochs=12``.
"""

from components.data import tfds
from components.export.settings import ExportSettings
from components.models import retinanet
from components.tasks import Threshold, object_detection
from components.train.settings import TrainingSettings
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    # The test split has no boxes; its 5,000 validation pictures are what papers report. A few of the annotations have a
    # box without an area.
    data=tfds.Settings(
        task="object_detection",
        dataset="coco/2017",
        test="validation",
        split=(0.98, 0.02, 0.0),
        image_shape=(512, 512, 3),
        quarantine=100,
    ),
    model=retinanet.Settings(depth=50),
    training=TrainingSettings(
        epochs=72,
        batch_size=16,
        learning_rate=1e-4,
        optimizer="adamw",
        weight_decay=1e-4,
        schedule="cosine",
        warmup_steps=1000,
        steps_per_epoch=0,
        validation_steps=0,
        patience=0,
        augmentation=("flip",),
    ),
    evaluation=object_detection.Settings(require=(Threshold(metric="map", relation=">=", bound=0.3),), batch_size=32),
    export=ExportSettings(formats=("saved_model", "litert", "onnx"), strict=False, parity_examples=64),
)
