"""The pages cannot drift from the code: checks, commands, and the package that a page builds."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from k8sdiag import plugins
from k8sdiag.cli import cli
from k8sdiag.model import Check

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
CHECKS = {
    path.stem.replace("_", "-"): path
    for path in (ROOT / "checks").glob("*.py")
    if not path.name.startswith("_")
}
EXAMPLE = "node-threads"  # the check of docs/write-a-check.md
HEADINGS = ("What it reads", "Why it matters at scale", "Limits", "Findings", "How to mend it")


@pytest.fixture(scope="module")
def loaded() -> dict[str, Check]:
    return plugins.checks()


def sections(page: str) -> dict[str, str]:
    """The text under each heading of the second level."""
    _, *parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("check_id", CHECKS)
def test_a_check_has_a_page_with_its_title_and_its_limits(
    check_id: str, loaded: dict[str, Check]
) -> None:
    check = loaded[check_id]
    page = (DOCS / "checks" / f"{check_id}.md").read_text()
    found = sections(page)
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*?) \| [^|]{3,} \|$", found["Limits"], re.MULTILINE)
    limits = check.limits.__struct_fields__ if check.limits else ()

    assert page.startswith(f"# {check_id}\n\n{check.title}.\n")
    assert set(HEADINGS) <= found.keys()
    assert dict(rows) == {name: str(getattr(check.limits, name)) for name in limits}
    assert len(rows) == len(limits)


@pytest.mark.parametrize(("check_id", "path"), CHECKS.items(), ids=CHECKS)
def test_a_page_names_every_finding_and_no_other(check_id: str, path: Path) -> None:
    page = (DOCS / "checks" / f"{check_id}.md").read_text()
    codes = {code for module in with_helpers(path) for code in codes_of(module)}
    named = re.findall(rf"`(?:{check_id}/)?([a-z0-9-]+)`", sections(page)["Findings"])
    whole = re.findall(rf"`{check_id}/([a-z0-9-]+)`", page)

    assert codes, "no code of a finding was found in the module: teach codes_of() to see it"
    assert codes <= set(named)
    assert set(whole) <= codes


def with_helpers(path: Path) -> list[ast.Module]:
    """A check's module and those beside it that it imports, as checks/_x.py."""
    modules: dict[Path, ast.Module] = {}
    waiting = [path]
    while waiting:
        path = waiting.pop()
        if path in modules or not path.is_file():
            continue
        modules[path] = ast.parse(path.read_text())
        for node in ast.walk(modules[path]):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "k8sdiag.checks"
            ):
                names = [str(node.module).rpartition(".")[2], *(a.name for a in node.names)]
                waiting += [path.with_name(f"{name}.py") for name in names]
    return list(modules.values())


def codes_of(module: ast.AST) -> Iterator[str]:
    """What a module gives as the code of a finding: `code=`, or a helper's parameter `code`."""
    helpers = {
        node.name: [argument.arg for argument in node.args.args].index("code")
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and "code" in [a.arg for a in node.args.args]
    }
    for node in ast.walk(module):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call):
            given += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            place = helpers.get(node.func.id) if isinstance(node.func, ast.Name) else None
            given += node.args[place : place + 1] if place is not None else []
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                given += values_of_code(target, node.value)
        for part in (part for value in given for part in ast.walk(value)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", part.value), part.value
                yield part.value


def values_of_code(target: ast.expr, value: ast.expr) -> list[ast.expr]:
    """What `code = ...` or `code, other = ..., ...` assigns to it."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=True)
        return [found for pair in pairs for found in values_of_code(*pair)]
    return [value] if isinstance(target, ast.Name) and target.id == "code" else []


def test_the_codes_of_a_module_are_seen() -> None:
    module = """
def finding(severity, code): return Finding(code=code)
def check():
    yield Finding(code="plain")
    yield Finding(code="one" if x else "two")
    yield finding(WARNING, "by-a-helper")
    code = "by-a-name"
    code, other = "with-another", "not-a-code"
"""
    plain = {"plain", "one", "two", "by-a-helper", "by-a-name", "with-another"}

    assert set(codes_of(ast.parse(module))) == plain


def test_no_page_without_a_check() -> None:
    assert {p.stem for p in (DOCS / "checks").glob("*.md")} == set(CHECKS)


def commands() -> Iterator[tuple[str, str]]:
    """Every command of ours that a page shows: (page, command)."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
        for line in lines:
            if found := re.match(r"(?:\S*/|kubectl )?k8sdiag( .*|$)", line.strip()):
                yield page.name, "k8sdiag" + found[1]


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_a_command_that_a_page_shows_exists(page: str, command: str) -> None:
    words = shlex.split(re.split(r"\s[|&]", command)[0], comments=True)
    given, rest = parse(words[1:])

    assert rest == []
    checks = [*given.get("chosen", ()), *given.get("skip", ()), *given.get("check", ())]
    assert set(checks) <= CHECKS.keys() | {EXAMPLE, "ID"}
    formats = {output.partition("=")[0] for output in given.get("outputs", ())}
    assert formats <= plugins.exporters()[0].keys()


def parse(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The values that each parameter is given, and what no parameter takes."""
    command: click.Command = cli
    context = click.Context(cli)
    while True:
        values, rest, order = command.make_parser(context).parse_args(words)
        given: dict[str, list[str]] = {}
        for parameter in dict.fromkeys(order):
            value = values[str(parameter.name)]
            several = value if isinstance(value, list) else [value]
            # What an argument has that is not given is no word.
            given[str(parameter.name)] = [v for v in several if isinstance(v, str)]
            if isinstance(parameter.type, click.Choice):
                for word in given[str(parameter.name)]:
                    parameter.type.convert(word, parameter, context)
        if not isinstance(command, click.Group) or not rest:
            return given, rest
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"there is no command {rest[0]}"
        command, words = inner, rest[1:]
        context = click.Context(command, parent=context)


@pytest.mark.parametrize(
    "command",
    ["k8sdiag cure", "k8sdiag audit --no-such-option", "k8sdiag node --fail-on=always"],
)
def test_a_wrong_command_is_seen(command: str) -> None:
    with pytest.raises((AssertionError, click.UsageError)):
        parse(command.split()[1:])


def test_the_readme_shows_every_command() -> None:
    shown = {c.split()[1] for page, c in commands() if page == "README.md" and " " in c}

    assert shown >= cli.commands.keys()


def test_the_links_of_the_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in PAGES
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
        if not link.startswith("https://") and not (page.parent / link).exists()
    ]

    assert broken == []


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package of docs/write-a-check.md, as if it were installed."""
    text = (DOCS / "write-a-check.md").read_text().partition("## The contract")[0]
    for name, content in re.findall(
        r"^`([\w/]+\.\w+)`.*?:\n\n```\w+\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    installed = tmp_path / "k8sdiag_threads-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: 1.0\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (installed / "entry_points.txt").write_text("\n".join(groups))
    return tmp_path


def run(package: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=package,
        env=os.environ | {"PYTHONPATH": f"{package}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_package_of_the_page_passes_its_own_tests(package: Path) -> None:
    assert "2 passed" in run(package, "pytest", "-p", "no:cacheprovider", "test_node_threads.py")


def test_the_check_of_the_page_judges_this_host(package: Path) -> None:
    loud = run(package, "k8sdiag", "node", "--check", EXAMPLE)
    (package / "k8sdiag.toml").unlink()
    quiet = run(package, "k8sdiag", "node", "--check", EXAMPLE)

    assert f"{EXAMPLE}/near" in loud
    assert "sysctl -w kernel.pid_max=4194304" in loud
    assert f"{EXAMPLE}/near" not in quiet
    assert re.search(rf"{EXAMPLE} +node/\S+ +[\d,]+ threads", quiet)
