"""Waiting for what processes do."""

import time


def until(condition, what, seconds=60, poll_s=0.05):
    """What `condition` gives as soon as it is true. `what` may be a function."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(poll_s)
