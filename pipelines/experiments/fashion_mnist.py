"""Ten kinds of clothing, 70,000 grey pictures of 28 x 28: a CNN reaches 0.91 in 4 minutes on 2 cores."""

from components.data import fashion_mnist
from components.models import cnn
from components.tasks import Threshold, image_classification
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    data=fashion_mnist.Settings(),
    model=cnn.Settings(padding="same"),
    evaluation=image_classification.Settings(
        require=(Threshold(metric="accuracy", relation=">=", bound=0.85),),
        require_slices=(Threshold(metric="accuracy", relation=">=", bound=0.5),),
    ),
)
