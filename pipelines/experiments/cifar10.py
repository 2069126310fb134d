"""Ten classes of 32 x 32 colour pictures, the tutorial this package grew from: about 0.70 after 10 epochs.

    suanli run cifar10

Not run here: TensorFlow Datasets downloads the pictures (163 MB) on first use. The planner expects 5 minutes on 4 CPUs
of a cloud, 0.01 USD.

For a residual network, 100 epochs and augmentation on a GPU node pool:

    suanli submit cifar10 --target gke --accelerator l4:spot,l4 --set model.name=resnet --set training.epochs=100 \
        --set 'training.augmentation=["crop","flip"]'
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
