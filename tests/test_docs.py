"""The documentation is true: its code runs, its links lead somewhere, and the names in it exist."""

import importlib
import os
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import pgmgraph
import pgmgraph.config
import pgmgraph.datasets
import pgmgraph.executors.ray
import pgmgraph.plotting
import pgmgraph.report
import pgmgraph.streams
import pgmgraph.trackers
import pgmgraph_modules.class_prior
import pgmgraph_modules.fronts
import pgmgraph_modules.gmm
import pgmgraph_modules.hmm
import pgmgraph_modules.lda
import pgmgraph_modules.linear_gaussian
import pgmgraph_modules.multimodal
import pgmgraph_modules.supervised
import pgmgraph_modules.svi
import pgmgraph_modules.transforms
import pgmgraph_modules.vae

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NO_RUN = "no-run"

FENCE = re.compile(r"^(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
CODE_SPAN = re.compile(r"`([^`\n]+)`")
DIRECTIVE = re.compile(r"^\.\. (?P<kind>\w+):: (?P<name>[\w.]+)$", re.MULTILINE)
MEMBERS = re.compile(r"^\.\. autoclass:: (?P<name>[\w.]+)\n +:members: (?P<members>.+)$", re.MULTILINE)
DOTTED = re.compile(r"\bpgmgraph(?:_modules)?(?:\.\w+)+")
PATH = re.compile(r"(examples|benchmarks|tests)/[\w/.]+$")
CLASS = re.compile(r"\b[A-Z][a-z]\w*[A-Z]\w*\b")

PUBLIC = [
    pgmgraph,
    pgmgraph.config,
    pgmgraph.datasets,
    pgmgraph.errors,
    pgmgraph.executors.ray,
    pgmgraph.plotting,
    pgmgraph.report,
    pgmgraph.streams,
    pgmgraph.trackers,
    pgmgraph_modules.fronts,
    pgmgraph_modules.class_prior,
    pgmgraph_modules.gmm,
    pgmgraph_modules.hmm,
    pgmgraph_modules.lda,
    pgmgraph_modules.linear_gaussian,
    pgmgraph_modules.multimodal,
    pgmgraph_modules.supervised,
    pgmgraph_modules.transforms,
    pgmgraph_modules.svi,
    pgmgraph_modules.vae,
]
# What pages name that is not ours, or is said not to be there.
FOREIGN = {
    "BayesianGaussianMixture",
    "BernoulliMixture",
    "CountVectorizer",
    "GaussianMixture",
    "ParameterDict",
    "PyTorch",
    "RayCluster",
}


@dataclass(frozen=True)
class Block:
    """One fenced block of Python: where its first line stands, and whether it is run."""

    source: str
    line: int
    runs: bool


def by_name(page: Path) -> str:
    return page.stem


def blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        language, *options = found["info"].split()[:2] or [""]
        if language == "python":
            yield Block(found["body"], text.count("\n", 0, found.start("body")) + 1, NO_RUN not in options)


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    headings = HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def resolve(name: str) -> object:
    """The object of a dotted name; raises AttributeError or ModuleNotFoundError where there is none."""
    parts = name.split(".")
    found: object = importlib.import_module(parts[0])
    for depth, part in enumerate(parts[1:], start=2):
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(".".join(parts[:depth]))
    return found


def exists(name: str) -> bool:
    try:
        resolve(name)
    except (AttributeError, ModuleNotFoundError):
        return False
    return True


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page.read_text("utf-8")))], ids=by_name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of a page in order, in one namespace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PGMGRAPH_DATA", os.fspath(tmp_path))
    namespace = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, namespace.__name__, namespace)
    for block in blocks(page.read_text(encoding="utf-8")):
        # Empty lines in front, so that a traceback names the line of the page.
        code = compile("\n" * (block.line - 1) + block.source, page, "exec")
        if block.runs:
            exec(code, vars(namespace))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for found in LINK.finditer(prose(page)):
        target, _, anchor = found["target"].partition("#")
        if target.startswith(("http:", "https:")):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            wrong.append(found["target"])
    assert not wrong, f"{page.name} links to {', '.join(wrong)}."


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = {
        span for span in CODE_SPAN.findall(prose(page)) if re.match(r"(examples|benchmarks|tests|docs)/[\w/.]+$", span)
    }
    missing = sorted(name for name in named if not (ROOT / name).exists())
    assert not missing, f"{page.name} names {', '.join(missing)}."


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_names_exist(page: Path) -> None:
    """Dotted names in the prose, and names of classes in code spans, ours or defined on the page."""
    text = page.read_text(encoding="utf-8")
    spans = CODE_SPAN.findall(prose(page))
    dotted = {name for span in spans for name in DOTTED.findall(span)} - {"pgmgraph.modules"}
    wrong = {name for name in dotted if not exists(name)}
    defined = {name for block in blocks(text) for name in re.findall(r"\bclass (\w+)", block.source)}
    for span in spans:
        if "/" in span or ":" in span.split("(")[0]:  # a path, or an entry point
            continue
        for name in CLASS.findall(span):
            if name not in FOREIGN | defined and not any(hasattr(module, name) for module in PUBLIC):
                wrong.add(name)
    assert not wrong, f"{page.name} names {', '.join(sorted(wrong))}."


def test_the_reference_holds_every_public_name() -> None:
    """And nothing that is not there."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed: set[str] = set()
    module = ""
    for found in DIRECTIVE.finditer(text):
        if found["kind"] == "currentmodule":
            module = found["name"]
        elif found["kind"].startswith("auto"):
            name = found["name"]
            listed.add(name if name.startswith("pgmgraph") else f"{module}.{name}")
    listed |= {name for span in CODE_SPAN.findall(text) for name in DOTTED.findall(span)}
    assert [name for name in sorted(listed) if not exists(name)] == []

    public = {f"{module.__name__}.{name}" for module in PUBLIC if hasattr(module, "__all__") for name in module.__all__}
    errors = {
        f"pgmgraph.errors.{name}"
        for name, value in vars(pgmgraph.errors).items()
        if isinstance(value, type) and value.__module__ == "pgmgraph.errors"
    }
    missing = (public | errors) - listed - {"pgmgraph.errors", "pgmgraph.registry"}
    assert not missing, f"docs/api.md lacks {', '.join(sorted(missing))}."


def test_members_in_the_reference_exist() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    wrong = []
    for found in MEMBERS.finditer(text):
        name = found["name"]
        owner = resolve(name) if name.startswith("pgmgraph") else getattr(pgmgraph, name)
        wrong += [f"{name}.{member}" for member in found["members"].split(", ") if not hasattr(owner, member)]
    assert not wrong, f"docs/api.md names {', '.join(wrong)}."


def test_few_blocks_are_not_run() -> None:
    skipped = [block for page in PAGES for block in blocks(page.read_text("utf-8")) if not block.runs]
    assert len(skipped) <= 3
