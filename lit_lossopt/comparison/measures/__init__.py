"""What is measured of each run.

Convergence, oscillation, ripple and learning rate are.

Histories come in as arrays. Numbers go out, one or none for each run.
"""
