import pytest

from k8sdiag.pulls.imagename import normalize

D = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("grafana/grafana", "docker.io/grafana/grafana:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
        ("docker.io/library/nginx:1.27", "docker.io/library/nginx:1.27"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost/app", "localhost/app:latest"),
        ("registry:5000/team/app", "registry:5000/team/app:latest"),
        (f"nginx@{D}", f"docker.io/library/nginx@{D}"),
        (f"registry:5000/app:1.0@{D}", f"registry:5000/app@{D}"),
    ],
)
def test_normalize(name: str, full: str) -> None:
    assert normalize(name) == full
    assert normalize(full) == full
