"""One run, from its settings to its end.

Settings come in. A trained network, its checkpoints and its record go out.
"""
