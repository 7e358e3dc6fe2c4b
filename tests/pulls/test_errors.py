"""Texts as kubelets, runtimes and registries write them, and such as others could write."""

from pathlib import Path

import pytest

from k8sdiag.pulls.errors import CAUSES, of_event, of_waiting

IMAGE = "r.example.com/shop/web:1"


def event(error: str, image: str = IMAGE) -> str:
    return f'Failed to pull image "{image}": {error}'


@pytest.mark.parametrize(
    "text",
    [
        "Error: ErrImagePull",
        "Error: ImagePullBackOff",
        'Error: failed to create containerd container: "x": no space left on device',
        f'Back-off pulling image "{IMAGE}"',
        "Back-off restarting failed container web in pod web-1",
        f'Successfully pulled image "{IMAGE}" in 3s (3s including waiting). Image size: 9 bytes.',
        f"x {event('pull QPS exceeded')}",
        f"\n{event('pull QPS exceeded')}",
        'Failed to pull image "a b": pull QPS exceeded',
        'Failed to pull image "": pull QPS exceeded',
        f'Failed to pull image "{IMAGE}": ',
        f'Failed to pull image "{"a" * 5000}": x',
        "",
    ],
)
def test_other_texts_are_no_failures(text: str) -> None:
    assert of_event(text) is None


FORMS = [
    tuple(line.split(": ", 1))
    for line in (Path(__file__).parents[1] / "testdata/pull-errors.txt").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("cause", "error"), FORMS)
def test_every_form_has_its_cause(cause: str, error: str) -> None:
    assert of_event(event(error)) == (IMAGE, cause)
    assert of_waiting("ErrImagePull", error, IMAGE) == cause
    backing_off = f'Back-off pulling image "{IMAGE}": ErrImagePull: {error}'
    assert of_waiting("ImagePullBackOff", backing_off, IMAGE) == cause
    assert cause in CAUSES


@pytest.mark.parametrize(
    "image",
    [
        "toomanyrequests/web:1",
        "denied:1",
        "r.example.com/unauthorized/web:1",
        "web@sha256:" + "429" * 21 + "4",
    ],
)
def test_the_name_of_an_image_is_no_cause(image: str) -> None:
    error = f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '

    assert of_event(event(f"{error}{image}: not found", image)) == (image, "not-found")
    assert of_event(event(f"{error}{image}: strange", image)) == (image, "other")


@pytest.mark.parametrize(
    ("reason", "message", "cause"),
    [
        ("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"', ""),
        ("ImagePullBackOff", "words of somebody else: no space left on device", ""),
        ("ErrImagePull", "", ""),
        ("ErrImageNeverPull", "", "never-pulled"),
        ("InvalidImageName", "", "bad-name"),
        ("ImageInspectError", "", "not-inspected"),
        ("RegistryUnavailable", "", "registry-down"),
        ("SignatureValidationFailed", "", "not-signed"),
        ("ContainerCreating", "", None),
        ("PodInitializing", "pull QPS exceeded", None),
        ("CrashLoopBackOff", "back-off 5m0s restarting failed container", None),
        ("CreateContainerConfigError", 'secret "x" not found', None),
        ("", "", None),
    ],
)
def test_reasons_of_waiting(reason: str, message: str, cause: str | None) -> None:
    assert of_waiting(reason, message, IMAGE) == cause


def test_a_long_text_is_cut_and_no_trouble() -> None:
    found = of_event(event("(" * 1_000_000 + " no space left on device"))

    assert found == (IMAGE, "other")
