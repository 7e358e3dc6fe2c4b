"""What CoreDNS itself says of the same Corefiles is in tests/real/test_corefile.py."""

import random
import re
import time

import pytest

from k8sdiag.corefile import CorefileError, parse, zone
from k8sdiag.facts.coredns import Plugin
from tests.corefiles import BROKEN, VALID, Broken, Valid


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.id)
def test_valid(case: Valid) -> None:
    found = parse(case.text, case.files)

    assert [(s.zones, [p.name for p in s.plugins]) for s in found.servers] == case.servers
    assert found.unread == ()


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_broken_with_the_line(case: Broken) -> None:
    with pytest.raises(CorefileError, match=case.says):
        parse(case.text, case.files)


def plugins(inside: str, **files: str) -> tuple[Plugin, ...]:
    (server,) = parse(f". {{\n{inside}\n}}\n", files).servers
    return server.plugins


@pytest.mark.parametrize(
    ("inside", "plugin"),
    [
        ("forward . /etc/resolv.conf", Plugin("forward", (".", "/etc/resolv.conf"))),
        (
            "cache 30 {\n disable success cluster.local\n denial 9984 5\n}",
            Plugin(
                "cache", ("30",), (("disable", "success", "cluster.local"), ("denial", "9984", "5"))
            ),
        ),
        ("cache 30 { denial 5\n}", Plugin("cache", ("30",), (("denial", "5"),))),
        (
            'template IN A {\n answer "{{ .Name }} 60 \\"x\\""\n}',
            Plugin("template", ("IN", "A"), (("answer", '{{ .Name }} 60 "x"'),)),
        ),
        ('hosts "a\nb" c', Plugin("hosts", ("a\nb", "c"))),
        ('hosts ""', Plugin("hosts", ("",))),
        ('hosts a"b', Plugin("hosts", ('a"b',))),
        ("bind {$ADDRESS}", Plugin("bind", ("{$ADDRESS}",))),
    ],
)
def test_the_words_of_a_plugin(inside: str, plugin: Plugin) -> None:
    assert plugins(inside) == (plugin,)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (".", "."),
        (".:53", "."),
        ("Cluster.Local", "cluster.local"),
        ("cluster.local.:5353", "cluster.local"),
        ("dns://example.org:53", "example.org"),
        ("tls://.", "."),
        ("a.b:{$PORT}", "a.b"),
        ("10.0.0.0/24", "10.0.0.0/24"),
    ],
)
def test_the_zone_of_a_key(key: str, expected: str) -> None:
    assert zone(key) == expected


def test_an_imported_file_that_is_not_given_is_named() -> None:
    found = parse(".:53 {\n import /etc/other/file\n import custom/*.override\n}\n")

    assert found.unread == ("/etc/other/file",)


@pytest.mark.parametrize(
    "pattern",
    ["custom/*.override", "/etc/coredns/custom/*.override", "./custom/*.override", "custom/a.*"],
)
def test_ways_to_name_the_files_of_a_config_map(pattern: str) -> None:
    (server,) = parse(f". {{\n import {pattern}\n}}\n", {"custom/a.override": "log"}).servers

    assert server.plugins == (Plugin("log"),)


def test_no_snippet_makes_a_text_too_large() -> None:
    levels = [f"(s{i}) {{\n" + f" import s{i - 1}\n" * 9 + "}\n" for i in range(1, 9)]
    text = "(s0) {\n" + " log\n" * 5000 + "}\n" + "".join(levels) + ". {\n import s8\n}\n"
    begin = time.process_time()

    with pytest.raises(CorefileError, match=r"more than 200000 words with all imports"):
        parse(text)

    assert time.process_time() - begin < 5


PIECES = [*'{}"#,()\\\n\r\t ', "import", "a", "(a)", ".:53", "cache", "*", "\x00", "\u2028", "é"]


def refusal(text: str) -> str:
    """What is wrong with it; "" if it can be read."""
    try:
        found = parse(text, {"a": text})
    except CorefileError as error:
        return str(error)
    assert all(server.zones for server in found.servers)
    return ""


def test_any_text_gives_servers_or_a_line() -> None:
    chance = random.Random(20261121)
    texts = [
        "".join(chance.choices([*PIECES, " ", "\n"], k=chance.randint(0, 60))) for _ in range(5000)
    ]

    refused = [found for text in texts if (found := refusal(text))]

    assert 100 < len(refused) < len(texts) - 100
    assert [r for r in refused if not re.fullmatch(r"(Corefile|a):\d+: \S.{,200}", r)] == []


@pytest.mark.parametrize("text", ['"', "{" * 100_000, "}" * 1000, '"\\' * 50_000, "a\n" * 100_000])
def test_long_texts_are_read_at_once(text: str) -> None:
    begin = time.process_time()

    found = refusal(text)

    assert len(found) < 300
    assert time.process_time() - begin < 5
