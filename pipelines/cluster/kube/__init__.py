"""The cluster itself, through the Kubernetes API, with the user's own rights."""
