"""Open files of all processes of this host; see fs.file-nr in proc_sys_fs(5)."""

from k8sdiag.facts.kernel import FileHandles
from k8sdiag.model import Unavailable
from k8sdiag.readers.host import Host

_FILE = "/proc/sys/fs/file-nr"


def collect(host: Host) -> FileHandles:
    text = host.read(_FILE)  # "1189 0 2466170": the second says nothing
    try:
        allocated, _, limit = map(int, text.split())
    except ValueError:
        raise Unavailable(f"{host.path(_FILE)} is not as Linux writes it: {text!r}") from None
    return FileHandles(host=host.name, allocated=allocated, limit=limit, provenance="fs.file-nr")
