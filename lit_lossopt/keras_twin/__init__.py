"""The same experiment in TensorFlow, and why it differs.

A config of ``fit`` comes in. A run trained by Keras and TensorFlow goes out, or a table of what differs and by how much.
"""
