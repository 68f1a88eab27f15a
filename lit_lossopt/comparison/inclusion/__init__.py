"""Arms that lose to special cases of their own.

A method that contains another cannot be worse than it if both are tuned enough. So such a loss tells of the tuning.
"""
