"""The two parts of a network that is fine-tuned.

The head starts fresh. The backbone in front of it has been trained before.
"""

from __future__ import annotations

from torch import nn


class Backbone:
    """Everything of a network but its head.

    It can be held still while the head learns. The head is the module that the network gives as its attribute ``head``.

    >>> from lit_lossopt.networks import MiniCNN
    >>> len(Backbone(MiniCNN()).parameters)  # weights and biases of three layers
    6

    Args:
        network: the network to train.

    Attributes:
        parameters: the backbone's trainable parameters, in the network's order.

    Raises:
        ValueError: the network names no head, or has nothing in front of it.
    """

    def __init__(self, network: nn.Module) -> None:
        head = getattr(network, "head", None)
        if not isinstance(head, nn.Module):
            raise ValueError(  # noqa: TRY004  # a value in a config
                f"frozen_epochs and backbone_lr_factor need to know the head, and {type(network).__name__} does not "
                "say which it is: give it an attribute `head`, its last layer; or take MiniCNN or TorchvisionNetwork"
            )
        in_head = {id(part) for part in (*head.parameters(), *head.modules())}
        self.parameters = [p for p in network.parameters() if p.requires_grad and id(p) not in in_head]
        if not self.parameters:
            raise ValueError(f"{type(network).__name__} has nothing to train in front of its head")
        self._norms = [m for m in network.modules() if hasattr(m, "running_mean") and id(m) not in in_head]
        self._frozen = False

    def freeze(self, frozen: bool) -> None:
        """Hold weights and running statistics still, or let them go.

        It must be called at each step. Frozen norms normalise by the statistics that they have, as in evaluation.
        Dropout stays as it is. Parameters that were not trainable to begin with stay so.
        """
        if not (frozen or self._frozen):
            return
        for parameter in self.parameters:
            parameter.requires_grad_(not frozen)
        for norm in self._norms:
            norm.train(not frozen)
        self._frozen = frozen


def check_backbone(frozen_epochs: int, backbone_lr_factor: float) -> None:
    """Refuse settings that no backbone can have.

    Raises:
        ValueError: names both.
    """
    if frozen_epochs < 0 or backbone_lr_factor <= 0:
        raise ValueError(
            f"model.frozen_epochs={frozen_epochs}, model.backbone_lr_factor={backbone_lr_factor}: the first must "
            "be at least 0, the second above 0 (it is frozen_epochs that holds the backbone still)"
        )
