"""Trained networks in formats of other programs.

A run comes in. Files go out, each checked against the network that it was made from.
"""
