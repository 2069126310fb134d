"""prepare: from any data source to a validated TFDS directory."""
