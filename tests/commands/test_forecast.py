"""What to change before a limit breaks is said of that limit, not of another of the same check."""

import pytest
from click.testing import CliRunner

from k8sdiag.commands.forecast import forecast


@pytest.fixture(scope="module")
def changes() -> dict[str, str]:
    """The last column of the demo's table, by limit."""
    done = CliRunner().invoke(forecast, ["--demo", "--nodes", "2000", "-o", "markdown"])
    rows = [[cell.strip() for cell in row.split("|")] for row in done.stdout.splitlines()]
    return {row[1]: row[-2] for row in rows if len(row) > 3}


@pytest.mark.parametrize("limit", ["service-addresses-ipv4", "coredns-memory", "nodes"])
def test_a_limit_without_a_finding_has_its_page(changes: dict[str, str], limit: str) -> None:
    assert changes[limit].startswith("k8sdiag explain ")


@pytest.mark.parametrize(
    ("limit", "change"),
    [
        ("pod-cidrs-ipv4", "add a CIDR for pods"),
        ("neighbor-need-ipv4", "raise gc_thresh3"),
        ("etcd-db-size", "stop what fills it"),
        ("node-cold-start", "let the kubelets pull"),
    ],
)
def test_a_limit_with_a_finding_has_its_remedy(
    changes: dict[str, str], limit: str, change: str
) -> None:
    assert changes[limit].startswith(change)
