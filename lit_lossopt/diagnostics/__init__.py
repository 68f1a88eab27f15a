"""Why a run behaves as it does.

A network, its gradients and its steps come in, as torch has them. Numbers go out, and findings in words.
"""
