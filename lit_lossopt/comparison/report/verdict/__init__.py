"""The verdict in words.

A finished comparison comes in. Sentences go out that say what may be claimed, what may not, and what happened to runs.
Every sentence follows from the decisions of contrasts. Captions of figures take these sentences, too.
"""

from lit_lossopt.comparison.report.verdict.answer import answer

__all__ = ["answer"]
