"""How a command declares its flags, under the name by which most commands know it.

It stands in ``core``, because packages that do not know ``config`` have commands too.
"""

from lit_lossopt.core.flags import Flag, add_flags, parse_flags

__all__ = ["Flag", "add_flags", "parse_flags"]
