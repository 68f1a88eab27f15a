"""One training on several devices.

One command comes in. One process for each device goes out, and what these agree on.
"""
