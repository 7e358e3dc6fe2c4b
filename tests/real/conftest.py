"""Fixtures that start real components. What is missing skips its tests, or fails them.

With K8SDIAG_REQUIRE_REAL=1 a missing component, tool or right is a failure.
The modules beside this one have the same as context managers, for use without pytest.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Concatenate, NoReturn, ParamSpec, TypeVar

import pytest

from tests.real import apiserver, etcd
from tests.real.apiserver import ApiServer
from tests.real.components import MissingError
from tests.real.etcd import EtcdCluster

P = ParamSpec("P")
T = TypeVar("T")


def skip_or_fail(missing: MissingError) -> NoReturn:
    """The one place that decides what a missing part of the bed means."""
    if os.environ.get("K8SDIAG_REQUIRE_REAL") == "1":
        pytest.fail(f"K8SDIAG_REQUIRE_REAL=1, but {missing}", pytrace=False)
    pytest.skip(str(missing))


@contextmanager
def required() -> Iterator[None]:
    try:
        yield
    except MissingError as missing:
        skip_or_fail(missing)


@contextmanager
def starting(
    start: Callable[Concatenate[Path, P], AbstractContextManager[T]],
    folders: pytest.TempPathFactory,
) -> Iterator[Callable[P, T]]:
    """A function that starts one more at each call; all of them end with the block."""
    with ExitStack() as stack:

        def begin(*args: P.args, **kwargs: P.kwargs) -> T:
            with required():
                folder = folders.mktemp(start.__module__.rpartition(".")[2])
                return stack.enter_context(start(folder, *args, **kwargs))

        yield begin


@pytest.fixture
def start_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., EtcdCluster]]:
    """start_etcd(version="3.6", tls=True, members=1, quota_bytes=None, extra_args=())"""
    with starting(etcd.started, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One real API server for the whole run: whoever creates objects deletes them again."""
    with starting(apiserver.started, tmp_path_factory) as start:
        yield start()
