"""A trace for people: a table, or Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from tabulate import tabulate

from k8sdiag.dnstrace.probe import Probe
from k8sdiag.dnstrace.trace import Trace
from k8sdiag.dnstrace.walk import Question, Step, Walk, in_columns, side_by_side
from k8sdiag.exporters._text import line

_TYPES = {"AF_UNSPEC": "A and AAAA", "AF_INET": "A", "AF_INET6": "AAAA"}


def text(trace: Trace, style: str) -> str:
    """For people; `style` is "table" or "markdown"."""
    tablefmt = "plain" if style == "table" else "github"
    break_ = "\n" if style == "table" else "  \n"  # two blanks keep a line break in Markdown

    def table(rows: Iterable[Sequence[str]], headers: Sequence[str]) -> str:
        cells = [[x if style == "table" else x.replace("|", "\\|") for x in row] for row in rows]
        return tabulate(cells, headers, tablefmt=tablefmt, disable_numparse=True)

    head = [
        f"Name:         {line(trace.lookup.name)} ({_TYPES[trace.lookup.family]})",
        f"resolv.conf:  {line(trace.source)}",
    ]
    head += [f"Note:         {line(note)}" for note in trace.notes]
    parts = [break_.join(head)]
    if len(trace.expected) == 1:
        rows, headers = _one(trace)
    else:
        rows, headers = _several(trace)
    parts.append(table(rows, headers) if rows else "No query is sent.")
    parts.append(break_.join(_outcomes(trace)))
    if trace.probes:
        head_of_probes = ("A NAME THAT DOES NOT EXIST", "A", "AAAA")
        parts.append(table(map(_probe, trace.probes), head_of_probes))
    if trace.edns:
        rows = [(line(e.address), e.plain.said, e.edns.said) for e in trace.edns]
        parts.append(table(rows, ("SERVER", "PLAIN", "WITH EDNS0")))
    for finding in trace.findings:
        shown = [f"{finding.severity.upper()}  {finding.code}  {line(finding.subject)}"]
        shown.append(f"  {line(finding.message)}")
        if finding.remedy:
            shown.append(f"  Mend: {line(finding.remedy.summary)}")
        parts.append(break_.join(shown))
    return "\n\n".join(parts)


_Table = tuple[list[tuple[str, ...]], tuple[str, ...]]  # rows, headers


def _one(trace: Trace) -> _Table:
    """A row for each query."""
    (expected,) = trace.expected
    found: list[tuple[str, ...]] = []
    if not trace.live:
        for place, sent in enumerate(expected.steps, 1):
            found.append((str(place), *_asked(trace, sent.question), sent.word))
        return found, ("", "QUERY", "TYPE", "SERVER", "ASSUMED")
    place = 0
    for row in side_by_side(expected, trace.live[0]):
        place += row.live is not None
        found.append(
            (
                str(place) if row.live else "",
                *_asked(trace, row.step.question),
                row.predicted.word if row.predicted else "not predicted",
                *(_heard(row.live) if row.live else ("not sent", "")),
            )
        )
    return found, ("", "QUERY", "TYPE", "SERVER", "ASSUMED", "LIVE", "MS")


def _several(trace: Trace) -> _Table:
    """A row for each question; for each resolver when it sends it."""
    walks = trace.live or trace.expected
    answers: dict[Question, list[Step]] = {}
    for walk in walks:
        for step in walk.steps:
            answers.setdefault(step.question, []).append(step)
    rows: list[tuple[str, ...]] = []
    for question, places in in_columns([*walks, *(trace.expected if trace.live else ())]).items():
        own, predicted = places[: len(walks)], places[len(walks) :]
        cells = [", ".join(map(str, at)) or "-" for at in own]
        for number, at in enumerate(predicted):
            if bool(at) != bool(own[number]):
                cells[number] = "not sent" if at else f"{cells[number]} (not predicted)"
        rows.append((*_asked(trace, question), *cells, *_all(trace, answers.get(question, []))))
    live = ("LIVE", "MS") if trace.live else ("ASSUMED",)
    return rows, ("QUERY", "TYPE", "SERVER", *(w.resolver for w in walks), *live)


def _all(trace: Trace, steps: list[Step]) -> tuple[str, ...]:
    """What came back, each once: a repeat, or a query with EDNS0, may be answered otherwise."""
    if not trace.live:
        return (" / ".join(dict.fromkeys(step.word for step in steps)),)
    heard = [_heard(step) for step in steps]
    said = " / ".join(dict.fromkeys(answer for answer, _ in heard))
    return said, heard[0][1] if heard else ""


def _asked(trace: Trace, question: Question) -> tuple[str, str, str]:
    qname, qtype, server, transport = question
    address = trace.servers[server] if server >= 0 else trace.default_server
    return line(qname), qtype, line(address) + (" (TCP)" if transport == "tcp" else "")


def _heard(step: Step) -> tuple[str, str]:
    reply = step.reply
    if reply is None:
        return "not asked: silent before", ""
    said = reply.said
    if reply.addresses:
        more = f" and {len(reply.addresses) - 1} more" if len(reply.addresses) > 1 else ""
        alias = f"{reply.alias} " if reply.alias else ""
        said = f"{alias}{reply.addresses[0]}{more}"
    return line(said), f"{1000 * reply.seconds:.1f}"


def _probe(probe: Probe) -> tuple[str, ...]:
    said = (" ".join((r.said, *r.addresses[:1])) for r in probe.replies.values())
    return line(probe.qname), *map(line, said)


def _outcomes(trace: Trace) -> Iterator[str]:
    for number, walk in enumerate(trace.live or trace.expected):
        expected = trace.expected[number]
        if not walk.steps:
            verdict = "answers by itself" if walk.ok else "fails"
        elif not walk.ok:
            verdict = f"fails after {_queries(walk.queries)}"
        elif walk.needed is not None and walk.needed < walk.queries:
            verdict = (
                f"finds {line(walk.found)} after {_queries(walk.queries)}; written so, "
                f"{walk.needed} would do"
            )
        else:
            verdict = f"finds {line(walk.found)} with {_queries(walk.queries)}"
        if trace.live:
            same = [s.question for s in walk.steps] == [s.question for s in expected.steps]
            verdict += "; sent as predicted" if same else f"; {expected.queries} were predicted"
            if alias := _walked_by_the_server(walk):
                verdict += f": the server itself walked the search list to {line(alias)} (autopath)"
        yield f"{walk.resolver}: {verdict}"


def _walked_by_the_server(walk: Walk) -> str:
    """Where CoreDNS' autopath answers a search name by a CNAME to the name further down the list.

    The alias is what the search name begins with, www.example.com. of www.example.com.shop.svc...
    """
    for step in walk.steps:
        alias = step.reply.alias if step.reply and step.word == "ok" else ""
        if alias and step.qname != alias and step.qname.lower().startswith(alias.lower()):
            return alias
    return ""


def _queries(count: int) -> str:
    return f"{count} quer{'y' if count == 1 else 'ies'}"
