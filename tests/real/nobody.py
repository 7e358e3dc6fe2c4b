"""Run k8sdiag as uid 65534 without capabilities, as a pod under the "restricted" standard does.

    python tests/real/nobody.py [--pod] ARGUMENT...

With --pod in new user, network and mount namespaces. All modules are loaded before the rights
go, for the interpreter may lie in a folder that nobody else can read.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

from k8sdiag import families, plugins, run, scrape  # noqa: F401
from k8sdiag.cli import main
from k8sdiag.web import server  # noqa: F401

NOBODY = 65534
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_NO_NEW_PRIVS = 38


def drop_rights(*, pod: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments):
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    if pod:
        call("unshare", CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    nothing = struct.pack("6I", 0, 0, 0, 0, 0, 0)
    call("capset", struct.pack("Ii", CAPABILITY_VERSION_3, 0), nothing)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    plugins.checks()
    plugins.sources()
    plugins.exporters()
    "localhost".encode("idna")
    os.chdir("/")
    pod = "--pod" in sys.argv
    drop_rights(pod=pod)
    sys.argv = ["k8sdiag", *(a for a in sys.argv[1:] if a != "--pod")]
    main()
