"""Runs of other programs, brought into the store.

Log files come in, as Lightning, Keras, TensorBoard and W&B write them, or any table. Runs in MLflow go out, each once.
"""
