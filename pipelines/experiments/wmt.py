"""German into English on WMT 2016's 4.5 million sentence pairs, with the Transformer's base model: BLEU about 30.

    suanli plan wmt --deadline 24h
    suanli submit wmt --target gke --accelerator v6e-1:spot,v5e-4

Not run here: TensorFlow Datasets downloads the pairs (1.5 GB) on first use. The planner expects 3.5 hours and 9.32 USD
on a v6e-1, 2.5 hours and 12.18 USD on a v5e-4; the paper trained its base model for 12 hours on 8 P100 (A. Vaswani et
al., 2017, arXiv:1706.03762, 5.2).

For another pair add ``--set data.dataset=ted_hrlr_translate/pt_to_en --set data.languages=pt,en``, for the paper's big
model ``--set model.width=1024 --set model.hidden=4096 --set model.heads=16``.
"""

from components.data import tfds
from components.export.settings import ExportSettings
from components.models import seq2seq_transformer
from components.tasks import Threshold, translation
from components.train.settings import TrainingSettings
from pipelines.experiment import Experiment

EXPERIMENT = Experiment(
    # Of real pairs some have an empty side, and some are too long to be sentences.
    data=tfds.Settings(
        task="translation",
        dataset="wmt16_translate/de-en",
        languages=("de", "en"),
        split=(0.999, 0.001, 0.0),
        quarantine=100_000,
    ),
    model=seq2seq_transformer.Settings(
        pieces=32_000, width=512, heads=8, layers=6, hidden=2048, dropout=0.1, label_smoothing=0.1
    ),
    # 512 sentences of about 30 tokens a side are near the paper's batch of 25,000 tokens.
    training=TrainingSettings(
        epochs=10,
        batch_size=512,
        steps_per_epoch=0,
        learning_rate=7e-4,
        schedule="cosine",
        warmup_steps=4000,
        patience=0,
    ),
    # Formats that compute all anew for each token would be compared for hours.
    export=ExportSettings(formats=("saved_model",)),
    evaluation=translation.Settings(beam=4, require=(Threshold(metric="bleu", relation=">=", bound=20.0),)),
)
