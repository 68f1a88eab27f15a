"""Both frameworks side by side, step by step, in double precision.

Names of losses, optimizers and images come in. How far the frameworks are apart after each step goes out.
"""
