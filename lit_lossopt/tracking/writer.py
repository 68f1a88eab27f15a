"""The thread that delivers a journal while its run goes on."""

from __future__ import annotations

import threading
import time

from lit_lossopt.core.errors import UserError
from lit_lossopt.tracking.delivery import Delivery
from lit_lossopt.tracking.run_store import RunGoneError, is_final

# Seconds to wait once nothing is left. Another process does the work, and more at once is less of it.
REST_BETWEEN = 1.0
# Where this process does it, sending holds Python's lock: after t seconds of computing the thread leaves training alone
# for this many times t, up to so many seconds.
REST, LONGEST_REST = 100, 4.0
# Between attempts: a store that is back is noticed soon.
LONGEST_WAIT = 4.0
# A final answer may still come from a proxy in front of a server that restarts.
FINAL_ANSWERS = 3
# Seconds to wait for a store that is being made, as by another process.
MAKING = 60.0


class Writer:
    """A thread that delivers a journal while training goes on.

    No exception leaves it. If the store is locked, slow or gone, it tries again, ever more slowly. The journal holds
    what is not delivered.

    Args:
        delivery: what it runs.
    """

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.created = threading.Event()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._progress = time.monotonic()
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="lossopt-writer", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that the journal has grown."""
        self._news.set()

    def wait_for_run(self, patience: float) -> None:
        """Wait until the store has made the run.

        Args:
            patience: seconds at most, counted from when the store can be asked.
        """
        began = asked = time.monotonic()
        while not self.created.wait(0.02):
            now = time.monotonic()
            if self.delivery.store.is_being_made() and not self.delivery.problem and now - began < MAKING:
                asked = now
            elif now - asked > patience:
                return

    def drain(self, patience: float, at_most: float = float("inf")) -> bool:
        """Wait until all is delivered.

        Args:
            patience: seconds without progress after which it gives up.
            at_most: seconds in all after which it gives up.

        Returns:
            Whether all is delivered and the thread has ended.
        """
        started = self._progress = time.monotonic()
        self._closing.set()
        self._news.set()
        while self._thread.is_alive():
            self._thread.join(0.02)
            now = time.monotonic()
            if now - self._progress > patience or now - started > at_most:
                self._abandoned = True
                break
        return not self._thread.is_alive() and not self.delivery.gone

    def _run(self) -> None:
        failures = finals = 0
        while not self._abandoned:
            self._news.clear()
            used = time.thread_time()
            try:
                sent = self.delivery.step()
            except Exception as error:  # noqa: BLE001  # whatever it is, training goes on
                failures += 1
                finals = finals + 1 if is_final(error) else 0
                self.delivery.note(error)
                if finals == FINAL_ANSWERS or isinstance(error, UserError | RunGoneError):
                    self.delivery.give_up()
                    self.created.set()
                    return
                self._pause(min(LONGEST_WAIT, 0.25 * 2**failures))
                continue
            failures = finals = 0
            self._progress = time.monotonic()
            if self.delivery.run_id is not None:
                self.created.set()
            if sent:
                self._rest(time.thread_time() - used)
            elif self._closing.is_set():
                return
            else:
                self._news.wait()

    def _pause(self, seconds: float) -> None:
        """Wait before trying again, for less time if the end is near."""
        if self._closing.wait(seconds):
            time.sleep(0.1)

    def _rest(self, used: float) -> None:
        if not self._closing.is_set() and self.created.is_set():
            if not self.delivery.store.elsewhere:
                self._closing.wait(min(LONGEST_REST, REST * used))
            elif not self.delivery.behind():
                self._closing.wait(REST_BETWEEN)
