"""What runs, in which order and where: experiments, the pipelines over them, and the commands that run them."""
