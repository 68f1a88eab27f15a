"""From many runs to a verdict.

Runs of a store come in. Sentences, tables, figures and a page go out. Each claim has an interval.
"""
