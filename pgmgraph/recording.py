"""Recording: what `fit` writes into a run directory as it learns, and takes up again when it resumes."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from filelock import FileLock, Timeout

from pgmgraph import checkpoints, runs
from pgmgraph.atomic import remove_folder, sweep, unwritable, write_over, write_text
from pgmgraph.checkpoints import Checkpoint, Checkpoints
from pgmgraph.config import config_text
from pgmgraph.errors import Interrupted, OutputError, PgmgraphError, RunError
from pgmgraph.events import CheckpointSaved, InterruptNoted
from pgmgraph.interrupts import noted
from pgmgraph.journal import Journal
from pgmgraph.learning import Learning, Saved
from pgmgraph.provenance import compare, environment, resolved

_LOCK = ".lock"
_BEFORE = "rounds_before"
# What may be there before a run is: it was broken off as it began.
_EARLY = (_LOCK, runs.ENVIRONMENT, runs.WARNINGS)


class Recording:
    """A run directory that is being written. Use it in a `with` block, around all learning.

    Args:
        path: the folder; made where it is not there.
        policy: when checkpoints are written.
        resume: False: a new run. True: the run that is there, from its last checkpoint. A text: from the checkpoint
            of that name.
        by: the function that learns, which messages name.

    Attributes:
        path: the folder.
        resumed: what learning goes on from; None where it begins.

    Raises:
        RunError: there is a run already, or none to resume, or another process is at work on it.
        CheckpointError: the checkpoint cannot be used.
        OutputError: the folder cannot be written.
    """

    def __init__(self, path: str | Path, policy: Checkpoints, resume: bool | str, by: str = "fit") -> None:
        self.path = Path(path)
        self._again = f"{by}(..., resume=True)" + (f", or `pgmgraph resume {self.path}`" if by == "fit" else "")
        self.resumed: Checkpoint | None = None
        self._policy = policy
        self._resume = resume
        self._learning: Learning | None = None
        self._journal = Journal(self.path / runs.HISTORY)
        self._latest: Checkpoint | None = None
        self._written = -1
        self._moment = time.monotonic()
        self._rated: list[tuple[Path, float | None]] = []
        self._writing: Future[Path] | None = None
        self._config = ""
        self._first = self._rows = 0

    def __enter__(self) -> Self:
        self._check()
        new = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        with ExitStack() as stack:
            self._lock(stack)
            stack.callback(self._leave, new)
            self._check()  # somebody may have come first
            sweep(self.path)
            sweep(self.path / runs.CHECKPOINTS)
            if self._resume:
                self.resumed = self._found()
            else:
                (self.path / runs.WARNINGS).unlink(missing_ok=True)
            self._writer = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="checkpoint"))
            self._interrupts = stack.enter_context(noted(self._announce))
            stack.enter_context(self._keeping_warnings())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._learning is not None and kind is not None:
                self._break_off(error)
        finally:
            self._stack.__exit__(kind, error, traceback)

    @property
    def progress(self) -> Mapping[str, Any]:
        """What was last given to `round_ended` before the checkpoint that learning goes on from; else nothing."""
        progress: Mapping[str, Any] = self.resumed.progress["progress"] if self.resumed else {}
        return progress

    def begin(
        self,
        learning: Learning,
        arguments: Mapping[str, object],
        notes: Mapping[str, Any],
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down what is learnt and how; or check that it is what the run was begun with, and go back to it.

        Args:
            learning: at its beginning.
            arguments: of `fit`, by name.
            notes: plain values to keep beside them.
            data: what the data are, where it is not those at hand alone.

        Raises:
            RunError: the graph, the data or an argument is not what the run was begun with.
        """
        config = {**resolved(learning, arguments), _BEFORE: learning.graph.rounds_done}
        if data is not None:
            config["data"] = data
        if self._resume:
            begun = runs.Run(self.path)
            compare(begun, config)
            config[_BEFORE] = begun.config.get(_BEFORE, 0)
            notes = notes or begun.notes
        else:
            write_text(self.path / runs.ENVIRONMENT, json.dumps(environment(), indent=1))
        written = {**config, "notes": dict(notes)} if notes else config
        write_text(self.path / runs.CONFIG, config_text(runs.sealed(written)))
        self._config = runs.fingerprint(config)
        self._learning = learning
        learning.before_stage = self.heed
        self._status("running")
        self._go_back(learning)

    def round_ended(self, progress: Mapping[str, Any]) -> None:
        """Write down the rounds that have ended since the last call; `progress` comes back when the run is resumed.

        Raises:
            OutputError: the disk refuses.
            CapabilityError: a module's state cannot be written.
        """
        learning = self._learning
        assert learning is not None
        saved = learning.save()
        for place in range(self._rows, learning.rounds):
            round = saved.snapshot.rounds_done - learning.rounds + place
            row = {name: column[place] for name, column in saved.history.items()}
            self._journal.append(runs.record_of(round, row, [one for one in saved.trace if one.round == round]))
        self._rows = learning.rounds
        self._latest = self._checkpoint(saved, progress)
        self._collect(wait=False)
        since = self._latest.rounds - max(self._written, self._first)
        if self._policy.due(since, time.monotonic() - self._moment):
            self._write_latest()
        self.heed()

    def finish(self, reason: str) -> None:
        """Learning is over: see that all of it is on disk."""
        self._write_latest()
        self._collect(wait=True)
        self._status("finished", reason)

    def _check(self) -> None:
        """Refuse a folder that is taken, or one that has nothing to resume."""
        here = self.path / runs.CONFIG
        if self._resume:
            if not here.is_file():
                raise RunError(
                    f"Expected a run to resume in {self.path}; there is none. Begin one: leave resume out.", self.path
                )
            return
        if here.exists():
            raise RunError(
                f"There is a run in {self.path} already. Go on with it: {self._again}; or begin another in a folder of "
                f"its own, such as {self._free()}.",
                self.path,
            )
        try:
            names = [one.name for one in self.path.iterdir()]
        except FileNotFoundError:
            return
        except OSError as error:
            raise unwritable(self.path, error) from error
        foreign = [name for name in names if name not in _EARLY and not name.startswith(".tmp-")]
        if foreign:
            raise RunError(
                f"Expected a new or an empty folder for a run; {self.path} holds {foreign[0]!r}. Choose another, such "
                f"as {self._free()}.",
                self.path,
            )

    def _free(self) -> Path:
        numbered = (self.path.with_name(f"{self.path.name}-{number}") for number in range(2, 10_000))
        return next(path for path in numbered if not path.exists())

    def _lock(self, stack: ExitStack) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(self.path / _LOCK, timeout=0))
        except Timeout as error:
            raise RunError(
                f"Another process is at work on the run in {self.path}. Wait for it, or choose another folder.",
                self.path,
            ) from error
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _leave(self, new: Sequence[Path]) -> None:
        """Where nothing was begun, everything is as it was; `new` are the folders that were made, the inner first."""
        if self._learning is None and not self._resume:
            with suppress(OSError):  # whatever kept the run from beginning is told already
                for name in _EARLY:
                    (self.path / name).unlink(missing_ok=True)
                for folder in new:
                    folder.rmdir()

    def _found(self) -> Checkpoint | None:
        """The checkpoint to resume from; None where the run ended before it had one."""
        run = runs.Run(self.path)
        if self._resume is True and not run.checkpoints:
            if run.config.get(_BEFORE):
                raise RunError(
                    f"Expected a checkpoint in {self.path} with what the graph had learnt before that run; it ended "
                    "before one was written. Begin another run, with the graph as it was.",
                    self.path,
                )
            return None
        return run.read(None if self._resume is True else str(self._resume))

    def _go_back(self, learning: Learning) -> None:
        """Bring the learning, and the folder, to where the checkpoint was written."""
        resumed = self.resumed
        self._first = learning.graph.rounds_done
        self._rows = 0
        if resumed is None:
            self._journal.cut(Journal.START)
            if self._first:
                # What was learnt before the run began is nowhere else.
                self._latest = self._checkpoint(learning.save(), {})
                self._write_latest()
            return
        # Were the history cut first, a checkpoint could be left that goes beyond it, and that nobody could resume from.
        mark = resumed.progress["history"]
        self._journal.upto(mark)
        self._forget(resumed.rounds)
        records = self._journal.cut(mark)
        self._rows = len(records)
        learning.restore(
            Saved(
                resumed.snapshot,
                resumed.known,
                runs.columns_of(records),
                runs.trace_of(records),
                resumed.guarantees,
            )
        )
        self._written = resumed.rounds
        self._rated = [(path, _objective(path)) for path in checkpoints.found(self.path / runs.CHECKPOINTS)]

    def _forget(self, rounds: int) -> None:
        """Remove the checkpoints after so many rounds; they will come again, the same."""
        for path in reversed(checkpoints.found(self.path / runs.CHECKPOINTS)):
            if checkpoints.rounds_of(path) > rounds:
                remove_folder(path)

    def _checkpoint(self, saved: Saved, progress: Mapping[str, Any]) -> Checkpoint:
        column = saved.history.get("F", [])
        return Checkpoint(
            saved.snapshot,
            saved.known,
            saved.guarantees,
            column[-1] if column else None,
            {"config": self._config, "history": self._journal.mark(), "progress": dict(progress)},
        )

    def _write_latest(self) -> None:
        """Begin to write the last complete round, unless it is on disk or on its way."""
        latest = self._latest
        if latest is None or latest.rounds == self._written:
            return
        self._collect(wait=True)
        self._written, self._moment = latest.rounds, time.monotonic()
        self._writing = self._writer.submit(self._write, latest)

    def _write(self, checkpoint: Checkpoint) -> Path:
        self._journal.settle()
        path = checkpoints.write(self.path / runs.CHECKPOINTS, checkpoint)
        self._rated.append((path, checkpoint.F))
        surplus = checkpoints.surplus(self._rated, self._policy.keep)
        for one in surplus:
            remove_folder(one)
        self._rated = [rated for rated in self._rated if rated[0] not in surplus]
        return path

    def _collect(self, *, wait: bool) -> None:
        """Hear how the writing of the last checkpoint went, if it has ended."""
        if self._writing is None or not (wait or self._writing.done()):
            return
        writing, self._writing = self._writing, None
        path = writing.result()
        assert self._learning is not None
        self._learning.emit(CheckpointSaved(checkpoints.rounds_of(path), str(path)))

    def heed(self) -> None:
        """Raise KeyboardInterrupt where an interrupt came."""
        if self._interrupts.came:
            raise KeyboardInterrupt

    def _announce(self) -> None:
        if self._learning is not None:
            self._learning.emit(InterruptNoted())

    def _break_off(self, error: BaseException | None) -> None:
        """Learning ended early: keep the last complete round, and say how to go on."""
        assert self._learning is not None
        if isinstance(error, KeyboardInterrupt) and self._interrupts.count > 1:
            return
        try:
            self._write_latest()
            self._collect(wait=True)
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self._status(state, "" if state == "interrupted" else f"{type(error).__name__}: {error}")
        except PgmgraphError as second:
            with suppress(OutputError):  # where nothing at all can be written, it stays "running"
                self._status("failed", f"{type(second).__name__}: {second}", write=write_over)
            if not isinstance(error, PgmgraphError):
                raise
            if str(second) != str(error):
                error.add_note(f"And the last complete round could not be written: {second}")
        if not isinstance(error, KeyboardInterrupt):
            return
        rounds = max(self._written, 0)
        raise Interrupted(
            f"Interrupted; what was learnt in {rounds} rounds is in {self.path}. Go on with it: {self._again}.",
            self.path,
            rounds,
        ) from None

    def _status(self, state: str, reason: str = "", write: Callable[[Path, str], None] = write_text) -> None:
        assert self._learning is not None
        content = {"state": state, "reason": reason, "rounds": self._learning.graph.rounds_done}
        write(self.path / runs.STATUS, json.dumps(content, indent=1))

    @contextmanager
    def _keeping_warnings(self) -> Iterator[None]:
        """Write down what is warned about, which goes its way as ever."""
        journal = Journal(self.path / runs.WARNINGS)
        with warnings.catch_warnings():
            show = warnings.showwarning

            def keep(
                message: Warning | str,
                category: type[Warning],
                filename: str,
                lineno: int,
                file: TextIO | None = None,
                line: str | None = None,
            ) -> None:
                journal.append({"category": category.__name__, "message": str(message)})
                show(message, category, filename, lineno, file, line)

            warnings.showwarning = keep
            yield


def _objective(path: Path) -> float | None:
    """F of a checkpoint that lies beside; None where it cannot be read, which whoever asks for it will hear."""
    try:
        objective: float | None = checkpoints.read_manifest(path)["F"]
    except RunError:
        return None
    return objective
