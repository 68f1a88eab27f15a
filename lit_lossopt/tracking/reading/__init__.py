"""Runs of a store as records and arrays.

A store comes in. Runs and their histories go out. Neither torch nor lightning is needed.
"""
