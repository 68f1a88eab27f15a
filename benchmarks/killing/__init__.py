"""Trainings in processes of their own that are paused, killed and resumed.

Benchmarks and tests use them alike.
"""
