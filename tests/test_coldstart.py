"""One pull, and what a node tells of its runtime and its images."""

import pytest

from k8sdiag.coldstart import (
    MIB,
    Image,
    Puller,
    Rates,
    download_seconds,
    image_of,
    pull_seconds,
    streams_of,
)


def image(compressed: float, *, biggest: float | None = None, layers: int = 10) -> Image:
    return Image(
        compressed_bytes=compressed,
        uncompressed_bytes=2.7 * compressed,
        layers=layers,
        biggest_layer_bytes=biggest,
    )


def test_one_pull_is_the_longer_of_download_and_unpacking_and_a_part_of_the_shorter() -> None:
    rates = Rates(overhead_seconds=0.5, overlap=0.15)
    size = 960.0 * MIB

    # Three streams of 60 MiB/s, but 40 % of it in one layer: 6.4 s; one core unpacks for 12 s.
    assert pull_seconds(image(size), Puller(), rates) == pytest.approx(0.5 + 12 + 0.15 * 6.4)
    # All of it in one layer, through one stream: 16 s.
    one = image(size, biggest=size, layers=1)
    assert pull_seconds(one, Puller(), rates) == pytest.approx(0.5 + 16 + 0.15 * 12)


def test_a_layer_in_parts_comes_through_all_streams() -> None:
    one = image(960.0 * MIB, biggest=960.0 * MIB, layers=1)

    assert download_seconds(one, Puller(), Rates()) == pytest.approx(16)
    assert download_seconds(one, Puller(layers_in_parts=True), Rates()) == pytest.approx(16 / 3)


@pytest.mark.parametrize(
    ("runtime", "streams"),
    [
        ("containerd://2.1.4", (3, True)),
        ("containerd://2.0.6", (3, False)),
        ("containerd://1.7.27-k3s1", (3, False)),
        ("cri-o://1.33.1", (6, False)),
        ("docker://24.0.7", (3, True)),
        ("", (3, False)),
    ],
)
def test_downloads_at_once(runtime: str, streams: tuple[int, bool]) -> None:
    assert streams_of(runtime) == streams


def test_the_size_in_a_nodes_status_is_compressed_only_with_containerd() -> None:
    of_containerd = image_of(70.5e6, "containerd://2.1.4", Rates())
    of_crio = image_of(191e6, "cri-o://1.33.1", Rates())

    assert of_containerd.compressed_bytes == 70.5e6
    assert of_containerd.uncompressed_bytes == pytest.approx(191e6, rel=0.01)
    assert of_crio.uncompressed_bytes == 191e6
    assert of_crio.compressed_bytes == pytest.approx(70.5e6, rel=0.01)
