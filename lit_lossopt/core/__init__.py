"""What every other package uses.

That is names, errors, files and locks, signals, paths, passwords, seeds and colours. Nothing heavy is imported.
"""
