"""What may go wrong between this machine and a cluster, besides a plain ``StepError``."""

from components.core.errors import StepError


class ContextError(StepError):
    """A context was asked for that is not in any kubeconfig."""


class ForbiddenError(StepError):
    """The user has no right to the request."""
