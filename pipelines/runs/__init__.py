"""A run, wherever it ran: its folder, record, progress, failure, page, comparison and pruning."""
