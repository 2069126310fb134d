"""The cluster: a Kubeflow Pipelines server, its runs and its schedules."""
