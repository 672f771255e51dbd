"""MLflow's client, made quiet, and made to say in a sentence that its store does not answer.

Only this module imports MLflow; others take what they need of it from here.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.errors import BenchError, without_password

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# otherwise the URLs of a server's runs are printed into a table's JSON
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
LEVEL = "MLFLOW_LOGGING_LEVEL"
_own_level = LEVEL not in os.environ
# otherwise a new database logs each of its tables
os.environ.setdefault(LEVEL, "WARNING")
logging.getLogger("alembic").setLevel(logging.WARNING)

from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402
from requests import HTTPError  # noqa: E402

if _own_level:
    # otherwise the traceback of each error that is raised stands before our sentence
    for _library in ("mlflow", "sqlalchemy", "alembic"):
        logging.getLogger(_library).setLevel(logging.CRITICAL)

__all__ = [
    "Client",
    "Dataset",
    "DatasetInput",
    "Experiment",
    "HTTPError",
    "InputTag",
    "Metric",
    "MlflowException",
    "Param",
    "Run",
    "RunTag",
    "StoreError",
    "ViewType",
    "impatient",
    "unanswered",
]

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
CALLERS = (
    400,
    404,
    409,
)  # HTTP statuses that are about the request, not about the store
UNKNOWN = 401  # the store does not know the user
FORBIDDEN = 403  # the user may not do this


class StoreError(BenchError):
    """A tracking store that does not answer, or refuses: nothing can be recorded."""


class Client:
    """`MlflowClient` whose methods raise StoreError if the store itself fails after retries."""

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
        return StoreError(
            f"the tracking store {without_password(uri)} asks who you are: set "
            f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user that it knows"
        )
    lines = str(error).splitlines()
    reason = lines[0] if lines else type(error).__name__
    verb = "refuses" if _status(error) == FORBIDDEN else "does not answer"
    return StoreError(without_password(f"the tracking store {uri} {verb}: {reason}"))


@contextmanager
def impatient() -> Iterator[None]:
    """One retry of a request instead of minutes of them, unless the user has set their number."""
    if RETRIES in os.environ:
        yield
        return
    os.environ[RETRIES] = "1"
    try:
        yield
    finally:
        del os.environ[RETRIES]


def _status(error: Exception) -> int | None:
    """The HTTP status that an error stands for."""
    if isinstance(error, MlflowException):
        return int(error.get_http_status_code())
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None)
