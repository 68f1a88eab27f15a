"""MiniCNN, the networks of torchvision, and pretrained weights.

Images `[N, C, H, W]` come in. Logits `[N, K]` go out.
"""

from lit_lossopt.networks.given import GivenNetwork
from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.networks.torchvision_network import TorchvisionNetwork

__all__ = ["GivenNetwork", "MiniCNN", "TorchvisionNetwork"]
