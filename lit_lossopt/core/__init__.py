"""What every other package uses.

Names, errors, paths, redaction, seeds and colours are here.
"""
