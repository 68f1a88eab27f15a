"""Networks from images to logits.

MiniCNN, torchvision's networks and pretrained weights are here.

Images `[N, C, H, W]` come in. Logits `[N, K]` go out.
"""

from lit_lossopt.networks.mini_cnn import MiniCNN
from lit_lossopt.networks.torchvision_network import TorchvisionNetwork

__all__ = ["MiniCNN", "TorchvisionNetwork"]
