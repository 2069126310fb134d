"""train: prepared examples and a model in, a trained Keras model out."""
