"""What is measured of each run.

Convergence, oscillation, ripple and learning rate are.

Runs with their histories come in. Numbers go out, one or none for each run.
"""
