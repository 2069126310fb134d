"""ImageNet (ILSVRC 2012) with ResNet-50 at 224 px: 90 epochs, about 0.76 by the usual recipe.

    suanli plan imagenet --deadline 24h
    suanli submit imagenet --target gke --accelerator v6e-4:spot,v5e-8

Not run here: 1.28 million pictures want an accelerator. The planner expects 1.6 hours and 17.51 USD on a v6e-4, 2.0
hours and 18.96 USD on a v5e-8. TensorFlow Datasets cannot download the set: put the two archives into its manual folder
(see its page for imagenet2012).

To train ResNet-101 for 300 epochs, add ``--set model.depth=101 --set training.epochs=300``.
"""

from components.data import tfds
from components.models import resnet
from components.tasks import Threshold, image_classification
from components.train.settings import TrainingSettings
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    # TFDS calls the 50,000 labelled validation pictures "validation"; the test split proper has no labels.
    data=tfds.Settings(dataset="imagenet2012", test="validation", split=(0.99, 0.01, 0.0), image_shape=(224, 224, 3)),
    model=resnet.Settings(depth=50),
    training=TrainingSettings(
        epochs=90,
        batch_size=1024,
        learning_rate=0.4,
        optimizer="sgd",
        weight_decay=5e-5,
        schedule="cosine",
        warmup_steps=6250,
        steps_per_epoch=0,
        validation_steps=0,
        patience=0,
        augmentation=("crop", "flip"),
    ),
    evaluation=image_classification.Settings(require=(Threshold(metric="accuracy", relation=">=", bound=0.74),)),
)
