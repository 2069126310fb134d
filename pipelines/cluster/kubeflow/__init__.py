"""A Kubeflow Pipelines server: the connection, its API, and runs on it."""
