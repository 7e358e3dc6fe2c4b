"""A trace for programs."""

import json
from typing import Any

from k8sdiag.dnstrace.trace import Trace
from k8sdiag.dnstrace.walk import Reply, Walk


def document(trace: Trace) -> str:
    """JSON in ASCII; bytes of names that are no UTF-8 stand as \\udcXX, as Python reads them."""
    lookup = trace.lookup
    made: dict[str, Any] = {
        "apiVersion": "k8sdiag.io/v1alpha1",
        "kind": "DnsTrace",
        "name": lookup.name,
        "family": lookup.family,
        "resolvConf": {"source": trace.source, "text": lookup.conf},
        "notes": trace.notes,
        "predicted": [_walk(trace, walk) for walk in trace.expected],
        "live": [_walk(trace, walk) for walk in trace.live],
        "probes": [
            {"qname": p.qname, "answers": {t: _reply(r) for t, r in p.replies.items()}}
            for p in trace.probes
        ],
        "edns": [
            {"server": e.address, "plain": _reply(e.plain), "edns": _reply(e.edns)}
            for e in trace.edns
        ],
        "findings": [
            {
                "code": f.code,
                "severity": f.severity,
                "subject": f.subject,
                "message": f.message,
                "remedy": f.remedy.summary if f.remedy else None,
            }
            for f in trace.findings
        ],
    }
    return json.dumps(made, indent=2)


def _walk(trace: Trace, walk: Walk) -> dict[str, Any]:
    return {
        "resolver": walk.resolver,
        "ok": walk.ok,
        "found": walk.found or None,
        "queries": walk.queries,
        "needed": walk.needed,
        "steps": [
            {
                "qname": s.qname,
                "qtype": s.qtype,
                "server": trace.servers[s.server] if s.server >= 0 else None,
                "transport": s.transport,
                "answer": s.word,
                **({"reply": _reply(s.reply)} if s.reply else {}),
            }
            for s in walk.steps
        ],
    }


def _reply(reply: Reply) -> dict[str, Any]:
    return {
        "answer": reply.word,
        "said": reply.said,
        "seconds": round(reply.seconds, 6),
        "addresses": reply.addresses,
        "alias": reply.alias or None,
    }
