"""Ask every member of etcd: those that were given, and all that they name as their peers."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from msgspec import Struct

from k8sdiag.facts.etcd import EtcdMember, EtcdMembers
from k8sdiag.model import Unavailable
from k8sdiag.readers.etcd import Etcd, endpoint
from k8sdiag.readers.etcd_member import Member
from k8sdiag.sources import _etcd_answer
from k8sdiag.sources._etcd_answer import Page
from k8sdiag.sources._etcd_window import Look

SPREAD = 0.2  # of the largest, in use: beyond it members are read again
SPREAD_BYTES = 64 << 20  # less comes and goes all the time
AGAIN_SECONDS = 1.0
AT_ONCE = 16  # members waited for side by side; etcd clusters have 1 to 7
# What a member is asked keeps it busy for some milliseconds. A put needs most members, so the next
# is asked when one has answered, or after this time: one that hangs holds up nobody.
TURN_SECONDS = 0.25


class _Answer(Struct, frozen=True):
    url: str
    status: Any | None = None
    page: Page | None = None
    look: Look | None = None  # the page as it came
    peers: tuple[Any, ...] = ()  # the member list as this member knows it
    unseen: dict[str, str] = {}  # "Status", "/metrics", "MemberList" -> why not

    @property
    def id(self) -> str:
        if self.status is not None:
            return f"{self.status.header.member_id:x}"
        return self.page.server_id if self.page is not None else ""


class Asked(Struct, frozen=True):
    fact: EtcdMembers
    looks: Mapping[str, Look]  # endpoint -> its /metrics; none of a member that keeps it to itself


def collect(reader: Etcd) -> EtcdMembers:
    """Once for all who want it. Raises Unavailable when no member answers."""
    return reader.once(ask).fact


def ask(reader: Etcd) -> Asked:
    """Members that seem to differ are read twice: a compaction reaches one after the other."""
    asked = _look(reader)
    if _differ(asked.fact.members):
        time.sleep(AGAIN_SECONDS)
        asked = _look(reader)
    return asked


def _differ(members: Iterable[EtcdMember]) -> bool:
    in_use: dict[str, list[int]] = {}
    for member in members:
        in_use.setdefault(member.cluster_id, []).append(member.in_use_bytes)
    return any(
        max(sizes) - min(sizes) > max(SPREAD_BYTES, SPREAD * max(sizes))
        for sizes in in_use.values()
    )


def _look(reader: Etcd) -> Asked:
    answers, failed = _ask_all(reader)
    if not answers:
        raise Unavailable("; ".join(f"{url}: {why}" for url, why in failed.items()))
    peers = {f"{p.ID:x}": p for a in answers.values() for p in a.peers}
    members = []
    gaps: dict[str, str] = {}
    for identity, answer in answers.items():
        name = peers[identity].name if identity in peers else ""
        if identity not in peers:
            why = answer.unseen.get("MemberList", "it is not on its own list")
            gaps[f"peers of {answer.url}"] = why
        member = _etcd_answer.member(answer.url, name or identity, answer.status, answer.page)
        members.append(member)
        gaps |= _gaps(member, answer)
    for identity, peer in peers.items():
        if identity not in answers:
            urls = [u for u in map(_url, peer.clientURLs) if u]
            gaps[f"etcd/{peer.name or identity}"] = _why_unseen(urls, failed)
            failed = {url: why for url, why in failed.items() if url not in urls}
    gaps |= {url: why for url, why in failed.items() if url in reader.endpoints}
    fact = EtcdMembers(
        members=tuple(sorted(members, key=lambda m: (m.cluster_id, m.name, m.endpoint))),
        etcdctl_flags=reader.flags,
        gaps=gaps,
        provenance="Status and /metrics of " + ", ".join(sorted(m.endpoint for m in members)),
    )
    return Asked(fact, {a.url: a.look for a in answers.values() if a.look is not None})


def _ask_all(reader: Etcd) -> tuple[dict[str, _Answer], dict[str, str]]:
    """The answers by the identity of the member, and why the other URLs gave none.

    A member's peers are asked in their turn once it has named them.
    """
    asked: dict[str, _Answer | Unavailable | None] = {}  # None: still under way
    known: set[str] = set()  # identities that have answered
    queue = deque(("", url) for url in reader.endpoints)
    pending: dict[Future[_Answer], str] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while queue or pending:
            while queue:
                identity, url = queue.popleft()
                if url not in asked and identity not in known:
                    asked[url] = None
                    pending[pool.submit(_ask, reader, url)] = url
                    break
            turn = TURN_SECONDS if queue else None
            for future in wait(pending, turn, FIRST_COMPLETED).done:
                url = pending.pop(future)
                try:
                    answer = asked[url] = future.result()
                except Unavailable as error:
                    asked[url] = error
                    continue
                known.add(answer.id)
                for peer in answer.peers:
                    queue += [(f"{peer.ID:x}", u) for u in map(_url, peer.clientURLs) if u]
    answers: dict[str, _Answer] = {}
    for reply in asked.values():
        if isinstance(reply, _Answer):
            answers.setdefault(reply.id, reply)
    return answers, {url: str(e) for url, e in asked.items() if isinstance(e, Unavailable)}


def _ask(reader: Etcd, url: str) -> _Answer:
    """Raises Unavailable when the member tells neither by Status nor by /metrics."""
    unseen: dict[str, str] = {}
    page = status = look = None
    peers: tuple[Any, ...] = ()
    with reader.ask(url) as client:
        try:
            look = look_at(client)
            page = _etcd_answer.read_page(look.page)
        except Unavailable as error:
            unseen["/metrics"] = str(error)
        try:
            status = client.status()
        except Unavailable as error:
            unseen["Status"] = str(error)
            if page is None or not page.server_id:
                raise
        try:
            peers = tuple(client.members().members)
        except Unavailable as error:
            unseen["MemberList"] = str(error)
    if status is not None and page is not None and page.server_id != f"{status.header.member_id:x}":
        # Two connections through a load balancer can end at two members.
        unseen["/metrics"] = f"/metrics: member {page.server_id} answered: ask members, not a proxy"
        page = None
    return _Answer(url, status, page, look if page else None, peers, unseen)


def look_at(client: Member) -> Look:
    asked = time.time()
    page = client.metrics()
    return Look(page, asked, time.time(), client.date)


def _gaps(member: EtcdMember, answer: _Answer) -> dict[str, str]:
    """What this member's silence costs the verdict."""
    name = f"etcd/{member.name}"
    if member.defragmenting:
        return {name: "it is being defragmented and answers no request until that is done"}
    if member.alarms is None and "Status" in answer.unseen:
        return {f"alarms of {name}": answer.unseen["Status"]}
    return {}


def _why_unseen(urls: list[str], failed: dict[str, str]) -> str:
    if not urls:
        return "it was added but has not started yet: it names no client URL"
    told = [f"{url}: {failed[url]}" for url in urls if url in failed]
    return "; ".join(told) or f"another member answers at {', '.join(urls)}"


def _url(text: str) -> str:
    """A client URL of the member list in our form; "" for one that can't be asked, as unix://."""
    try:
        return endpoint(text)
    except ValueError:
        return ""
