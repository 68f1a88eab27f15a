"""What is measured of each run: convergence, oscillation, ripple, learning rate.

Runs with their histories come in. Numbers go out, one or none for each run.
"""
