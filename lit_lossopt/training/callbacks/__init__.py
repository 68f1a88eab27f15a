"""What happens beside the steps of a training, one job a file."""
