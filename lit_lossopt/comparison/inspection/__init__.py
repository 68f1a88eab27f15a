"""One run, looked at closely.

The run's histories and tags come in. Sentences, a table of its layers and a page go out.
"""
