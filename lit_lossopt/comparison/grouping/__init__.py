"""Which runs make an arm.

Runs and their settings come in. Arms, seeds and pairs of runs go out.
"""
