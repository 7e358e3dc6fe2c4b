"""The few messages of etcd's gRPC API that are read here, as protobuf classes.

Built at import from the table below instead of generated code, which works with the one
protobuf major that generated it. Numbers and types as in etcd's api/etcdserverpb/rpc.proto; a
field that is not listed is skipped on the wire, one that an older server does not send reads
as zero. The sending halves of Status and MemberList are empty: their defaults (a local,
non-linearizable read) are what is wanted, so no class stands for them. Of a Range only what
counts keys is here: no key or value can be asked for or read.
"""

from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "etcdserverpb"

# message -> field -> number and type; "*" is repeated, a capital letter another message
_TABLE = {
    "ResponseHeader": {
        "cluster_id": "1 uint64",
        "member_id": "2 uint64",
        "revision": "3 int64",
        "raft_term": "4 uint64",
    },
    "StatusResponse": {
        "header": "1 ResponseHeader",
        "version": "2 string",
        "dbSize": "3 int64",
        "leader": "4 uint64",  # 0: none
        "raftIndex": "5 uint64",
        "raftTerm": "6 uint64",
        "raftAppliedIndex": "7 uint64",  # since 3.4, as the next three
        "errors": "8 *string",
        "dbSizeInUse": "9 int64",
        "isLearner": "10 bool",
        "storageVersion": "11 string",  # since 3.6, as the next
        "dbSizeQuota": "12 int64",
    },
    "Member": {
        "ID": "1 uint64",
        "name": "2 string",  # empty: added, but not started yet
        "peerURLs": "3 *string",
        "clientURLs": "4 *string",
        "isLearner": "5 bool",
    },
    "MemberListResponse": {"header": "1 ResponseHeader", "members": "2 *Member"},
    "AuthenticateRequest": {"name": "1 string", "password": "2 string"},
    "AuthenticateResponse": {"header": "1 ResponseHeader", "token": "2 string"},
    "RangeRequest": {
        "key": "1 bytes",
        "range_end": "2 bytes",
        "serializable": "7 bool",  # the member's own word: no quorum, no leader
        "count_only": "9 bool",
    },
    "RangeResponse": {"header": "1 ResponseHeader", "count": "4 int64"},
}


def _build() -> DescriptorPool:
    file = FileDescriptorProto(name="k8sdiag_etcd.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _TABLE.items():
        message = DescriptorProto(name=name)
        for field, spec in fields.items():
            number, kind = spec.split()
            entry = message.field.add(name=field, number=int(number))
            entry.label = FieldDescriptorProto.LABEL_OPTIONAL
            if kind.startswith("*"):
                entry.label = FieldDescriptorProto.LABEL_REPEATED
                kind = kind[1:]
            if kind[0].isupper():
                entry.type = FieldDescriptorProto.TYPE_MESSAGE
                entry.type_name = f".{_PACKAGE}.{kind}"
            else:
                entry.type = FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        file.message_type.append(message)
    # A pool of its own: another package's etcd messages bear the same names.
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _message(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_POOL = _build()
StatusResponse = _message("StatusResponse")
MemberListResponse = _message("MemberListResponse")
RangeRequest = _message("RangeRequest")
RangeResponse = _message("RangeResponse")
AuthenticateRequest = _message("AuthenticateRequest")
AuthenticateResponse = _message("AuthenticateResponse")
