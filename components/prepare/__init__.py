"""prepare: any data source in, a checked TFDS directory out."""
