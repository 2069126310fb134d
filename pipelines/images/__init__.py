"""Build the images that the steps run in, and push them: ``python -m pipelines.images`` (make images, make push)."""
