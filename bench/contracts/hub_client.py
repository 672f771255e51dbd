"""Contact with the Hugging Face hub: short time-outs, one failure per process, no retry log.

huggingface_hub retries an unreachable hub for 23 s per repository and logs every attempt. Here a
server has `ANSWER_SECONDS` for its first answer; if it gives none, no pairing asks again.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bench.errors import WeightsError, first_sentence

ANSWER_SECONDS = 3.0  # HF_HUB_ETAG_TIMEOUT, where it is set, takes its place
LOGGERS = ("huggingface_hub", "httpx", "httpx2", "urllib3")
UNANSWERED = (429, 500, 502, 503, 504)  # statuses of a server that serves nobody

# base classes of what HTTP libraries raise on the way to a server, by name: huggingface_hub has
# changed its library more than once
CONTACT_ERRORS = {"TransportError", "ConnectionError", "TimeoutError", "Timeout"}

# huggingface_hub reads this when it is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

_failures: dict[str, str] = {}  # by endpoint: why it could not be reached


class UnreachableError(WeightsError):
    """A server does not answer; the message is the same for all of its weights."""


def commit(hub_id: str, revision: str) -> str:
    """The commit that a branch, tag or commit of a repository names now.

    Raises:
        UnreachableError: if the hub does not answer within `ANSWER_SECONDS`, or did not before.
        Exception: huggingface_hub's, for example for a repository that does not exist.
    """
    from huggingface_hub import HfApi, constants

    limit = answer_seconds()

    def ask() -> Any:
        return HfApi().model_info(hub_id, revision=revision, timeout=limit)

    with contact(constants.ENDPOINT):
        return str(within(limit, ask).sha)


def download(hub_id: str, revision: str, patterns: Sequence[str], cache: str) -> None:
    """Download the files of a repository that match `patterns` into the hub cache.

    Raises:
        UnreachableError: as in `commit`.
        Exception: huggingface_hub's, for example for a repository that does not exist.
    """
    from huggingface_hub import constants, snapshot_download

    commit(hub_id, revision)  # a hub out of reach is noticed here, before any retry
    with contact(constants.ENDPOINT):
        snapshot_download(
            hub_id, revision=revision, allow_patterns=list(patterns), cache_dir=cache
        )


@contextmanager
def contact(endpoint: str) -> Iterator[None]:
    """A block in which the server `endpoint` is asked for something.

    Raises:
        UnreachableError: if the server does not answer the block, or did not answer one before, or
            if HF_HUB_OFFLINE is set.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UnreachableError("HF_HUB_OFFLINE is set")
    if endpoint in _failures:
        raise UnreachableError(_failures[endpoint])
    try:
        with _quiet():
            yield
    except Exception as error:
        if not _is_unanswered(error):
            raise
        reason = f"{endpoint} does not answer: {first_sentence(error)}"
        _failures[endpoint] = reason
        raise UnreachableError(reason) from error


def answer_seconds() -> float:
    """Seconds that a server has for its first answer."""
    from huggingface_hub import constants

    if "HF_HUB_ETAG_TIMEOUT" in os.environ:
        return float(constants.HF_HUB_ETAG_TIMEOUT)
    return ANSWER_SECONDS


def within(limit: float, ask: Callable[[], Any]) -> Any:
    """The result of `ask`, or TimeoutError after `limit` seconds.

    A thread, because the look-up of a host's address cannot be interrupted.
    """
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["result"] = ask()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit)
    if "error" in outcome:
        raise outcome["error"]
    if "result" not in outcome:
        raise TimeoutError(
            f"no answer within {limit:g} s (HF_HUB_ETAG_TIMEOUT sets another limit)"
        )
    return outcome["result"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the warnings of the hub's libraries, unless HF_HUB_VERBOSITY asks for them."""
    if "HF_HUB_VERBOSITY" in os.environ:
        yield
        return
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _is_unanswered(error: BaseException) -> bool:
    """Whether the server, or the way to it, is at fault, and not what was asked for."""
    response = getattr(error, "response", None)
    if response is not None:
        return response.status_code in UNANSWERED
    names = {kind.__name__ for kind in type(error).__mro__}
    return not names.isdisjoint(CONTACT_ERRORS)
