"""Layers of our own, registered with Keras: a ``.keras`` file names them, and is loaded after this package is.

Every file here is imported, so that one more is one more file and nothing else; ``components.core.sources`` knows that
whatever imports this package stands on all of them.
"""

from components.core.layers import attention, byte_pairs, encoder_decoder, ngrams, prior_boxes, recurrent, text

__all__ = ["attention", "byte_pairs", "encoder_decoder", "ngrams", "prior_boxes", "recurrent", "text"]
