"""The same experiment in TensorFlow. It is trained there too, and what makes the results differ is taken apart."""
