"""What a sweep will train.

A file or flags come in. Trials go out, each a command line with a key.
"""
