"""The range test.

It says which learning rates train at all.

The settings of a training come in. A curve and a suggested rate go out.
"""
