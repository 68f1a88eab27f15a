"""Whether what a page says still holds.

The page's JSON is computed again from the store, and compared value by value. Some of its trials are run again from
their recorded command lines, and compared bit by bit.
"""
