"""How long this host has been up."""

from k8sdiag import Fact
from k8sdiag.readers.host import Host


class Uptime(Fact, frozen=True, kw_only=True):
    host: str
    seconds: float


def collect(reader: Host) -> Uptime:
    up = reader.read("/proc/uptime").split()[0]
    return Uptime(host=reader.subject, seconds=float(up), provenance="/proc/uptime")
