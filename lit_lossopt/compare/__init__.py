"""Which arm converges faster, which oscillates, which cannot be told apart: from runs to numbers, words and a page."""
