"""Record what a real kubelet says, for tests where none can run.

.venv/bin/python -m tests.real.record_kubelet     (root; writes tests/testdata/kubelet)
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.real import apiserver, kubelet
from tests.real.apiserver import ApiServer
from tests.real.kubelet import Kubelet

FOLDER = Path(__file__).parents[1] / "testdata" / "kubelet"

SETTINGS: dict[str, dict[str, object]] = {
    "configz-defaults.json": {},
    "configz-parallel-5.json": {"serializeImagePulls": False, "maxParallelImagePulls": 5},
    "configz-parallel-unbounded.json": {
        "serializeImagePulls": False,
        "registryPullQPS": 20,
        "registryBurst": 40,
    },
}


def configz(api: ApiServer, running: Kubelet) -> Any:
    return api.admin.get(f"{running.proxy_path}/configz")


def node(api: ApiServer, running: Kubelet) -> Any:
    """The object that the kubelet registered, without what names this machine."""
    found = api.admin.get(f"/api/v1/nodes/{running.node}")
    info = found["status"]["nodeInfo"]
    info |= dict.fromkeys(("bootID", "machineID", "systemUUID"), "0" * 32)
    info["kernelVersion"] = info["kernelVersion"].partition("-")[0]
    return json.loads(json.dumps(found).replace(running.node, "node-1"))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, apiserver.started(Path(work, "api")) as api:
        for number, (file, settings) in enumerate(SETTINGS.items()):
            folder = Path(work, str(number))
            folder.mkdir()
            with kubelet.started(folder, api, settings) as running:
                _write(file, configz(api, running))
                _write("node.json", node(api, running))


def _write(file: str, reply: object) -> None:
    (FOLDER / file).write_text(json.dumps(reply, indent=2) + "\n")
    print(FOLDER / file)


if __name__ == "__main__":
    main()
