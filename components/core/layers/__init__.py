"""Layers of our own, registered with Keras: a ``.keras`` file names them, and is loaded after this package is.

Each file is imported here by name, so that whatever loads a model stands on all of them.
"""

from components.core.layers import attention, encoder_decoder, prior_boxes, recurrent, text

__all__ = ["attention", "encoder_decoder", "prior_boxes", "recurrent", "text"]
