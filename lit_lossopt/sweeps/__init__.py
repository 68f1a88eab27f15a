"""From a plan to trials, and from trials to winners.

A plan comes in. Runs in the store go out, and the words of a comparison.
"""
