"""Which loss, which optimizer, at which learning rate: controlled experiments on a small CNN, every step kept."""

__version__ = "0.1.0"
