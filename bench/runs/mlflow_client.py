"""MLflow's client, made quiet, and made to say in a sentence that its store does not answer."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.errors import BenchError

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault(
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"
)  # a server's runs, into a table's JSON
os.environ.setdefault(
    "MLFLOW_LOGGING_LEVEL", "WARNING"
)  # a new database otherwise tells of each table
logging.getLogger("alembic").setLevel(logging.WARNING)

from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from requests import HTTPError  # noqa: E402

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
CALLERS = (400, 404, 409)  # HTTP statuses that tell of what was asked, not of the store
UNKNOWN, FORBIDDEN = 401, 403  # the store does not know the user, or does not let him


class StoreError(BenchError):
    """A tracking store that does not answer, or refuses. Nothing can be recorded, so the command
    ends.
    """


class Client:
    """`MlflowClient`, whose methods raise StoreError where the store is what failed, after minutes
    of repetitions.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.inner = MlflowClient(uri)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return getattr(self.inner, name)(*arguments, **named)
            except (MlflowException, HTTPError) as error:
                if _status(error) in CALLERS:
                    raise
                raise unanswered(self.uri, error) from error

        return call


def unanswered(uri: str, error: Exception) -> StoreError:
    """The sentence for a store that raised this."""
    if _status(error) == UNKNOWN:
        hint = "asks who you are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user that it knows"
        return StoreError(f"the tracking store {without_password(uri)} {hint}")
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    verb = "refuses" if _status(error) == FORBIDDEN else "does not answer"
    return StoreError(without_password(f"the tracking store {uri} {verb}: {text}"))


def without_password(text: str) -> str:
    """A text whose URLs name neither a user nor a password."""
    return re.sub(r"://[^/\s]*@", "://", text)


@contextmanager
def impatient() -> Iterator[None]:
    """One repetition of a request in place of minutes of them, unless the user says otherwise."""
    own = RETRIES in os.environ
    os.environ.setdefault(RETRIES, "1")
    try:
        yield
    finally:
        if not own:
            del os.environ[RETRIES]


def _status(error: Exception) -> int | None:
    """The HTTP status that an error stands for."""
    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    return getattr(getattr(error, "response", None), "status_code", None)
