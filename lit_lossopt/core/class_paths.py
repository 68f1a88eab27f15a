"""Where public classes were in the first version.

Configs and checkpoints of that version name these paths, and trial keys hash them.
"""

from __future__ import annotations

# Path of now → path of the first version.
FORMER = {
    "lit_lossopt.networks.MiniCNN": "lit_lossopt.model.MiniCNN",
    "lit_lossopt.networks.TorchvisionNetwork": "lit_lossopt.pretrained.TorchvisionNetwork",
}


def as_named_now(text: str) -> str:
    """Return a text in which classes have today's paths.

    >>> as_named_now("lit_lossopt.model.MiniCNN")
    'lit_lossopt.networks.MiniCNN'
    """
    for now, former in FORMER.items():
        text = text.replace(former, now)
    return text


def as_named_first(text: str) -> str:
    """Return a text in which classes have their first paths.

    >>> as_named_first("lit_lossopt.networks.MiniCNN")
    'lit_lossopt.model.MiniCNN'
    """
    for now, former in FORMER.items():
        text = text.replace(now, former)
    return text
