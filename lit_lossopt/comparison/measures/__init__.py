"""What is measured of each run: convergence, oscillation, ripple, learning rate.

Histories come in as arrays. Numbers go out, one or none for each run.
"""
