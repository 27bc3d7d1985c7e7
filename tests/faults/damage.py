"""Files of a run, and of a graph, that are damaged; and what may come of reading one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import pgmgraph
from pgmgraph import Checkpoints, Run, checkpoints
from pgmgraph.config import config_text, load_graph, to_config
from pgmgraph.datasets import read_labels, read_values
from pgmgraph.errors import DataFileError, PgmgraphError
from pgmgraph.journal import Journal
from tests.bits import bits_of
from tests.datasets.files_made import FILES, damaged, write
from tests.test_fit import vae_mixture

fit = partial(pgmgraph.fit, report=False)
ROUNDS = 3

WORDS = (
    *("null", "true", "-1", "0", "1e999", ".nan", "NaN", "-Infinity", "9" * 40, "1" * 5000, '""', "~", "\t", "\0"),
    *("[" * 200, "{" * 200, "[" * 5000, "{a: " * 2000, "- " * 2000, "&a [*a]", "*b", "<<: *b", "? [a]", "%YAML 3.0"),
    *("!!python/object/apply:os.system ['touch /tmp/never']", "!!binary x", "!!timestamp 2001-13-41", "!!set {a}"),
    *("import: os:system", "{import: 'os:abort'}", "{call: 'builtins:len'}", "{object: x}", '"\\ud800"'),
    *("vae.z", "gmm.c", "gmm.x", "module: gmm", "é\u2028", "'", '"', "#", "---", "...", "|", ">", "@", "`"),
)


@dataclass(frozen=True)
class Victim:
    """A file to be damaged.

    Attributes:
        kind: of file.
        file: where it is.
        read: what comes of it.
        whole: what it holds.
        bits: of what comes of it while it is whole; None where nothing can tell that it was altered.
        amend: what is done after the damage, for it to be found by something else than its hash.
    """

    kind: str
    file: Path
    read: Callable[[], object]
    whole: bytes
    bits: str | None
    amend: Callable[[], None]

    def suffer(self, content: bytes) -> str:
        """Read the file with other content: "refused", "harmless" where all is as it was, or "read".

        Raises:
            AssertionError: something else came of it than of the whole file.
            Exception: whatever escapes that is no error of pgmgraph's, with a note of the content.
        """
        self.file.write_bytes(content)
        try:
            self.amend()
            found = self.read()
            assert self.bits in (None, bits_of(found)), "wrong numbers"
        except PgmgraphError:
            return "refused"
        except BaseException as error:
            error.add_note(f"in {self.kind}: {content!r}")
            raise
        finally:
            self.file.write_bytes(self.whole)
            self.amend()
        return "read" if self.bits is None else "harmless"


def another(content: bytes, random: np.random.Generator) -> bytes:
    """Damaged by bytes, or, as only a text can be, by words."""
    found, by_words = content, 0.7 if content.isascii() else 0.1
    while found == content:
        found = _reworded(content, random) if random.random() < by_words else damaged(content, random)
    return found


def _reworded(content: bytes, random: np.random.Generator) -> bytes:
    """With a line left out, doubled or put elsewhere, or a word in the place of another."""
    lines = content.split(b"\n")
    place = int(random.integers(len(lines)))
    damage = random.integers(5)
    if damage == 0:
        del lines[place]
    elif damage == 1:
        lines.insert(int(random.integers(len(lines))), lines[place])
    else:
        word = WORDS[random.integers(len(WORDS))].encode()
        marks = [at for at, byte in enumerate(lines[place]) if byte in b" :,[{"] or [0]
        at = marks[random.integers(len(marks))] + 1
        rest = lines[place][at:]
        kept = rest[min((rest.find(end) for end in (b",", b"}", b"]") if end in rest), default=len(rest)) :]
        lines[place] = lines[place][:at] + b" " + word + (kept if random.integers(4) else b"")
    return b"\n".join(lines)


def victims(folder: Path) -> list[Victim]:
    """The files of a run, a graph, and data files of all kinds."""
    path = folder / "run"
    fit(vae_mixture(), rounds=ROUNDS, run_dir=path, checkpoints=Checkpoints(keep=ROUNDS))
    graph = folder / "graph.yaml"
    graph.write_text(config_text(to_config(vae_mixture())))
    last = path / "checkpoints" / f"round-{ROUNDS:06d}"
    mark = checkpoints.read(last).progress["history"]
    readers: list[tuple[str, Path, Callable[[], object], bool]] = [
        ("manifest", last / "manifest.json", partial(checkpoints.read, last), True),
        ("state of a network", last / "vae.pt", partial(checkpoints.read, last), True),
        ("state of a mixture", last / "gmm.pt", partial(checkpoints.read, last), True),
        ("mail", last / "mail.pt", partial(checkpoints.read, last), True),
        ("history", path / "history.jsonl", partial(_history, path), True),
        ("history, to resume", path / "history.jsonl", partial(_resumed, path / "history.jsonl", mark), True),
        ("run.yaml", path / "run.yaml", partial(_config, path), True),
        ("status.json", path / "status.json", partial(_status, path), False),
        ("environment.json", path / "environment.json", partial(_environment, path), False),
        ("graph as YAML", graph, partial(_graph, graph), False),
    ]
    found = []
    for kind, file, read, guarded in readers:
        whole = read()
        found.append(Victim(kind, file, read, file.read_bytes(), bits_of(whole) if guarded else None, _nothing))
    # With the right hash in the manifest, the files themselves must do the refusing.
    forged = {"vae.pt": "forged state of a network", "gmm.pt": "forged state of a mixture", "mail.pt": "forged mail"}
    for name, kind in forged.items():
        file = last / name
        read = partial(checkpoints.read, last)
        found.append(Victim(kind, file, read, file.read_bytes(), None, partial(forge, last, name)))
    return found + _data_files(folder)


def _data_files(folder: Path) -> list[Victim]:
    found = []
    for number, (name, make) in enumerate(FILES.items()):
        place, content = folder / f"data-{number}", make()
        source = write(place, name, content)
        for kind, read in (("data file, for values", read_values), ("data file, for labels", read_labels)):
            with suppress(DataFileError):
                read(source)  # what is refused while it is whole would say nothing
                found.append(Victim(kind, place / name, partial(read, source), content, None, _nothing))
    return found


def forge(checkpoint: Path, name: str) -> None:
    """Let the manifest of a checkpoint state the hash that one of its files has."""
    content = (checkpoint / name).read_bytes()
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["files"][name] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    seal(checkpoint, manifest)


def seal(checkpoint: Path, manifest: Mapping[str, object]) -> None:
    """Write a manifest, with its hash."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(rest).encode()).hexdigest()
    (checkpoint / "manifest.json").write_text(json.dumps({**rest, "sha256": digest}, indent=1))


def _nothing() -> None:
    pass


def _history(path: Path) -> object:
    run = Run(path)
    return [run.history, [(entry.round, entry.modules, entry.F, entry.terms, entry.seconds) for entry in run.trace]]


def _resumed(path: Path, mark: Mapping[str, object]) -> object:
    return Journal(path).upto(mark)


def _config(path: Path) -> object:
    return Run(path).config


def _status(path: Path) -> object:
    return Run(path).status


def _environment(path: Path) -> object:
    return Run(path).environment


def _graph(path: Path) -> object:
    graph = load_graph(path)
    graph.check()
    return to_config(graph)
