"""The same experiment in TensorFlow. It is trained there too, and what makes the results differ is taken apart."""

import contextlib
import importlib
import sys

# Loaded after TensorFlow, triton ends the process by a segmentation fault (torch 2.14, tensorflow 2.21); torch loads it
# together with its first optimizer.
if "tensorflow" not in sys.modules:
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
