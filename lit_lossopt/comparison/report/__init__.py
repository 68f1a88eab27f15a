"""What a person reads of a comparison.

A finished comparison comes in. Words, numbers, tables, figures and files go out.
"""
