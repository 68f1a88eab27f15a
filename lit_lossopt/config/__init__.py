"""From the words of a command line to checked settings.

Words and YAML files come in. Merged settings go out, or one line that says what is wrong. Nothing heavy is imported.
"""
