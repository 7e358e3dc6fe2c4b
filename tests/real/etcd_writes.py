"""Writing to a real etcd, which only tests do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.real.etcd import EtcdCluster

Put = Callable[[bytes, bytes], None]


@contextmanager
def puts(cluster: EtcdCluster) -> Iterator[Put]:
    """A function that puts a value through the first member; raises grpc.RpcError."""
    import grpc

    target = cluster.endpoints[0].partition("://")[2]
    if cluster.ca and cluster.cert and cluster.key:
        pem = [file.read_bytes() for file in (cluster.ca, cluster.key, cluster.cert)]
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(*pem))
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        call = channel.unary_unary("/etcdserverpb.KV/Put", None, None)
        # PutRequest has the key as its field 1 and the value as field 2.
        yield lambda key, value: call(_field(1, key) + _field(2, value), timeout=10)


def fill_up(cluster: EtcdCluster, keys: int = 200, value_bytes: int = 16_384) -> int:
    """Write versions of some keys until etcd refuses more; how many it took."""
    import grpc

    with puts(cluster) as put:
        for count in range(100_000):
            try:
                put(f"/registry/fill/{count % keys}".encode(), bytes(value_bytes))
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                    return count
                raise
    raise AssertionError("etcd took everything")


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, size = b"", len(value)
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value
