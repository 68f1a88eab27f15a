"""One diagnostic a file: each measures, and hands its values to the loggers."""
