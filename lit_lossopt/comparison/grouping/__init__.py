"""Which runs count, and which of them make an arm.

Runs and their settings come in. Arms, seeds and pairs of runs go out.
"""
