"""Handwritten digits, 1,797 grey pictures of 8 x 8 from scikit-learn: a smoke test of seconds, accuracy about 0.97.

    suanli run digits

Seconds on 2 cores, most of them to start the four steps; accuracy about 0.97 on 360 test pictures.

The same pipeline on larger pictures is ``fashion_mnist``. For a longer training:

    suanli run digits --set training.epochs=30 --set training.patience=5
"""

from components.data import digits
from components.models import cnn
from components.tasks import Threshold, image_classification
from components.train.settings import TrainingSettings
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    data=digits.Settings(),
    model=cnn.Settings(filters=(32, 64), padding="same"),
    training=TrainingSettings(epochs=10, batch_size=32),
    evaluation=image_classification.Settings(
        require=(Threshold(metric="accuracy", relation=">=", bound=0.9),), margin=0.02, min_slice=20, slice_margin=0.15
    ),
)
