"""Libraries' own messages: kept off the screen, or let through for a log."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

HUB_BARS = "HF_HUB_DISABLE_PROGRESS_BARS"  # read when huggingface_hub is imported


@contextmanager
def silenced() -> Iterator[None]:
    """Drop the log records and warnings of all libraries.

    What matters to a user, our own code says. Warnings that were asked for with `python -W` stay.
    """
    level = logging.root.manager.disable
    os.environ.setdefault(HUB_BARS, "1")
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def logged() -> Iterator[None]:
    """Write the log records of all libraries, from INFO on, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    level = logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)
        logging.root.setLevel(level)
