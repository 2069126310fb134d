"""Ten classes of 32 x 32 colour pictures, the tutorial this package grew from: about 0.70 after 10 epochs.

TensorFlow Datasets downloads it (163 MB) on first use. About 5 minutes on 2 cores, mostly the training.
"""

from components.data import tfds
from components.models import cnn
from components.tasks import Threshold, image_classification
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    data=tfds.Settings(dataset="cifar10", split=(0.9, 0.1, 0.0), image_shape=(32, 32, 3)),
    model=cnn.Settings(),
    evaluation=image_classification.Settings(require=(Threshold(metric="accuracy", relation=">=", bound=0.6),)),
)
