"""Writing runs to MLflow, and reading them back.

Only this package imports mlflow.
"""
