"""evaluate: a trained model in, its metrics, a report and a decision out."""
