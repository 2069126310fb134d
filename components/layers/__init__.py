"""Custom Keras layers, losses and metrics, which ``.keras`` files name; ``saved_model`` loads such files."""
