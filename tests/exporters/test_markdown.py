import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from k8sdiag.exporters import markdown
from tests.exporters.golden import assert_page
from tests.exporters.reports import CLEAN, FOUR_FAILURES, HOSTILE, NOTHING_JUDGED, REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_page(name: str) -> None:
    assert_page(f"{name}.md", markdown.render(REPORTS[name]))


def test_a_clean_report_says_so() -> None:
    assert "UTC: no findings.\n" in markdown.render(CLEAN)


def test_what_was_not_judged_stands_in_the_first_lines() -> None:
    first = markdown.render(NOTHING_JUDGED).splitlines()[2]

    assert "**4 of 4 checks not judged, or not all of it**" in first


def test_commands_stand_in_fences_as_they_are_typed() -> None:
    text = markdown.render(FOUR_FAILURES)

    assert "\n```sh\nsysctl -w net.ipv4.neigh.default.gc_thresh3=8192\n```\n" in text


def test_a_parser_finds_no_column_no_tag_and_no_fence_that_hostile_text_made() -> None:
    parser = MarkdownIt("commonmark").enable("table").enable("strikethrough")
    blocks = parser.parse(markdown.render(HOSTILE))
    inline = [token for block in blocks for token in block.children or []]
    columns = [sum(t.type == "td_open" for t in row) for row in table_rows(blocks)]

    assert [block.info for block in blocks if block.type == "fence"] == ["sh", "yaml"]
    assert [n for n in columns if n] == [6, 4, 5]
    assert [b.tag for b in blocks if b.type == "heading_open"] == ["h1", "h2", "h2"]
    html = [t.content.strip() for t in blocks + inline if t.type in ("html_block", "html_inline")]
    summary = "<details><summary>Every check and every measured limit</summary>"
    assert html == [summary, "</details>"]
    assert {t.type for t in inline} <= {"text", "code_inline", "strong_open", "strong_close"}


def table_rows(blocks: list[Token]) -> list[list[Token]]:
    begins = [i for i, token in enumerate(blocks) if token.type == "tr_open"]
    ends = [i for i, token in enumerate(blocks) if token.type == "tr_close"]
    return [blocks[begin:end] for begin, end in zip(begins, ends, strict=True)]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("gc_thresh3 is 1024", "gc_thresh3 is 1024"),
        ("_x_ *y*", r"\_x\_ \*y\*"),
        ("a|b", r"a\|b"),
        (r"a\|b", r"a\\\|b"),
        ("# no heading", r"\# no heading"),
        ("two\nlines", "two lines"),
        ("<b>", r"\<b\>"),
    ],
)
def test_prose(text: str, escaped: str) -> None:
    assert markdown._prose(text) == escaped
