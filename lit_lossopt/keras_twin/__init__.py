"""The same experiment in TensorFlow, and why it differs.

A config of ``fit`` comes in. A run trained by TensorFlow goes out, or a table of what differs and by how much.
"""

import contextlib
import importlib
import sys

# Loaded after TensorFlow, triton ends the process by a segmentation fault (torch 2.14, tensorflow 2.21). torch loads it
# together with its first optimizer.
if "tensorflow" not in sys.modules:
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
