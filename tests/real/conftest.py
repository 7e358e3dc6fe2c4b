"""Fixtures that start real components. What is missing skips its tests, or fails them.

With K8SDIAG_REQUIRE_REAL=1 a missing component, tool or right is a failure.
The modules beside this one have the same as context managers, for use without pytest.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

import pytest

from tests.real import apiserver, coredns, etcd, kubelet, netns, prometheus
from tests.real.apiserver import ApiServer
from tests.real.bed import program
from tests.real.components import MissingError
from tests.real.coredns import CoreDns
from tests.real.etcd import EtcdCluster
from tests.real.kubelet import Kubelet
from tests.real.netns import Namespace
from tests.real.prometheus import Prometheus

P = ParamSpec("P")
T = TypeVar("T")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real programs on a small, busy machine may miss a deadline once; a bug fails twice.

    What was run again is told in the summary.
    """
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


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
    name: str,
    start: Callable[Concatenate[Path, P], AbstractContextManager[T]],
    folders: pytest.TempPathFactory,
) -> Iterator[Callable[P, T]]:
    """A function that starts one more at each call; all of them end with the block."""
    with ExitStack() as stack:

        def begin(*args: P.args, **kwargs: P.kwargs) -> T:
            with required():
                return stack.enter_context(start(folders.mktemp(name), *args, **kwargs))

        yield begin


@pytest.fixture(scope="session", autouse=True)
def finalizers_also_after_sigterm() -> Iterator[None]:
    """A cancelled run ends like one that was interrupted: whatever was started is stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def start_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., EtcdCluster]]:
    """start_etcd(version="3.6", tls=True, members=1, quota_bytes=None, extra_args=())"""
    with starting("etcd", etcd.started, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One real API server for the whole run: whoever creates objects deletes them again."""
    with starting("apiserver", apiserver.started, tmp_path_factory) as start:
        yield start()


@pytest.fixture
def start_kubelet(
    tmp_path_factory: pytest.TempPathFactory, api_server: ApiServer
) -> Iterator[Callable[..., Kubelet]]:
    """start_kubelet(settings=None, containerd="containerd-2", extra_args=())"""

    def started(
        folder: Path, /, settings: Mapping[str, object] | None = None, **options: Any
    ) -> AbstractContextManager[Kubelet]:
        return kubelet.started(folder, api_server, settings, **options)

    with starting("kubelet", started, tmp_path_factory) as start:
        yield start


@pytest.fixture
def start_coredns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., CoreDns]]:
    """start_coredns(corefile=COREFILE, port=None, namespace=None)"""
    with starting("coredns", coredns.started, tmp_path_factory) as start:
        yield start


@pytest.fixture
def start_prometheus(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Prometheus]]:
    """start_prometheus(config="{}", history="")"""
    with starting("prometheus", prometheus.started, tmp_path_factory) as start:
        yield start


@pytest.fixture
def promtool() -> Path:
    with required():
        return program("promtool")


@pytest.fixture
def make_netns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Namespace]]:
    """make_netns(cable=False)"""
    with starting("netns", netns.made, tmp_path_factory) as start:
        yield start
