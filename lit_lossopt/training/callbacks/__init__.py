"""What happens beside the steps of a training.

There is one job in each file.
"""
