"""A Kubeflow Pipelines server: the way in, what it holds, and runs on it."""
