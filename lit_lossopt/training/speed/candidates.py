"""Settings that may make a training faster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

# More threads than these gain nothing for one training of small images.
MOST_THREADS = 32


@dataclass(frozen=True)
class Candidate:
    """A setting beside the settings as given.

    Attributes:
        threads: CPU threads.
        words: what a person types for it. Empty for the settings as given.
        fused: whether the optimizer updates all weights in one operation.
        precision: of the Trainer; empty: as given.
        fp32_precision: of products of float32 numbers; empty: as given.
    """

    threads: int
    words: tuple[str, ...] = ()
    fused: bool = False
    precision: str = ""
    fp32_precision: str = ""

    @property
    def name(self) -> str:
        """What the table calls it.

        >>> Candidate(threads=2).name
        'as given (2 threads)'
        """
        return " ".join(self.words) or f"as given ({self.threads} thread{'s' if self.threads != 1 else ''})"

    @property
    def is_safe(self) -> bool:
        """Whether the mathematics is that of the settings as given.

        Only the last bits of results may differ.
        """
        return not (self.precision or self.fp32_precision)


def of_threads(given: Candidate, cores: int) -> list[Candidate]:
    """Return the numbers of threads to try: powers of two, and the number of cores.

    >>> [one.threads for one in of_threads(Candidate(threads=4), 6)]
    [1, 2, 6]
    """
    most = min(cores, MOST_THREADS)
    counts = sorted({most, *(2**power for power in range(most.bit_length()))})
    return [replace(given, threads=count, words=(f"--threads={count}",)) for count in counts if count != given.threads]


def fused(given: Candidate) -> Candidate:
    """Return the settings as given with a fused optimizer."""
    return replace(given, fused=True, words=("--model.optimizer.fused=true",))


def changing(given: Candidate, *, precision: bool, products: bool) -> list[Candidate]:
    """Return settings that change the arithmetic.

    Args:
        given: the settings as given.
        precision: whether the Trainer's precision can change.
        products: whether products of float32 numbers can.
    """
    mixed = replace(given, precision="bf16-mixed", words=("--trainer.precision=bf16-mixed",))
    reduced = replace(given, fp32_precision="bf16", words=("--fp32_precision=bf16",))
    return [*([mixed] if precision else []), *([reduced] if products else [])]


def together(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the setting of several candidates at once, or None of fewer than two.

    >>> both = together([Candidate(1, ("--threads=1",)), fused(Candidate(2))])
    >>> both.name
    '--threads=1 --model.optimizer.fused=true'

    Args:
        candidates: of threads first.
    """
    if len(candidates) < 2:
        return None
    words = tuple(word for one in candidates for word in one.words)
    return replace(candidates[0], words=words, fused=any(one.fused for one in candidates))
