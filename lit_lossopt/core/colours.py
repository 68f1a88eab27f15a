"""Colours of arms, in MLflow's charts and in our figures."""

from __future__ import annotations

# Told apart by the colour-blind. Source: Okabe and Ito 2008, "Color Universal Design", without its yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# The same hues on a dark ground, where the darkest of them would be lost.
DARK_COLOURS = ("#4FA8DE", "#F0803C", "#2FC79A", "#DD97BE", "#EBB440", "#8CCBF0", "#F2F2F2")
