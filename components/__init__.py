"""What happens inside a container: the steps, and the rooms (data, models, tasks) they draw from."""
