"""A trained network without its data.

A run or a checkpoint comes in. A classifier of images goes out.
"""
