"""A member by its /metrics alone."""

from msgspec.structs import replace

from k8sdiag.facts.etcd import EtcdMember
from k8sdiag.sources._etcd_answer import Page, member

NO_ALARMS = "before etcd 3.6 /metrics does not tell them: give --etcd-endpoints"


def by_page(
    endpoint: str, name: str, page: Page, cluster_id: str = ""
) -> tuple[EtcdMember, dict[str, str]]:
    """The member, and what its metrics do not tell of it."""
    found = member(endpoint, name or page.server_id or endpoint, None, page)
    found = replace(found, cluster_id=cluster_id)
    subject = f"etcd/{found.name}"
    if found.defragmenting:
        return found, {subject: "it is being defragmented and answers no request until it is done"}
    return found, {} if found.alarms is not None else {f"alarms of {subject}": NO_ALARMS}
