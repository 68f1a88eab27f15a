"""Loss surfaces with the real paths of optimizers on them.

Runs come in. A plane through their weights, the loss on it and their paths go out, as pictures, a page and tables.
"""
