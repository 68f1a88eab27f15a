"""A comparison as JSON that programs read.

``records`` says what stands in it, and ``build`` makes it from a comparison. ``text`` writes and reads it. Its JSON
Schema lies beside them.
"""
