"""The fastest safe setting of a machine.

The settings of a training come in. Steps a second of several settings, and a recommendation, go out.
"""
