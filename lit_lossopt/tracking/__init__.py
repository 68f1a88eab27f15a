"""Runs written to MLflow, and read back.

What a training logs comes in, and goes to a journal and from there to a store. Runs and histories go out. Only this
package imports MLflow.
"""
