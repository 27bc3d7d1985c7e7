"""What a machine does to a run, from within the process that learns."""

from __future__ import annotations

import os
import resource
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pgmgraph.events import Event, RoundEnded

ROUND = 4
"""At the end of which trouble comes."""


def _now(event: Event) -> bool:
    return isinstance(event, RoundEnded) and event.round == ROUND


@dataclass(frozen=True)
class FullDisk:
    """Something else takes all that is left of a disk.

    Attributes:
        ballast: a file on it.
    """

    ballast: Path

    def __call__(self, event: Event) -> None:
        if _now(event):
            with self.ballast.open("wb", buffering=0) as file:
                for size in (65_536, 1):
                    try:
                        while file.write(bytes(size)):
                            pass
                    except OSError:
                        continue  # what is left is smaller than that


@dataclass(frozen=True)
class SmallFiles:
    """No file may be larger than this, in bytes."""

    limit: int

    def __call__(self, event: Event) -> None:
        if _now(event):
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.limit, resource.RLIM_INFINITY))


@dataclass(frozen=True)
class FewFiles:
    """So many files may be opened beside those that are."""

    left: int

    def __call__(self, event: Event) -> None:
        if _now(event):
            self.limit()

    def limit(self) -> None:
        """From now on."""
        with ExitStack() as stack:
            highest = max(stack.enter_context(open(os.devnull)).fileno() for _ in range(self.left + 1))  # noqa: PTH123
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, most))


@dataclass(frozen=True)
class ReadOnly:
    """A folder becomes read-only: for root by mounting it so, for anybody else by its mode."""

    folder: Path

    def __call__(self, event: Event) -> None:
        if _now(event):
            self.begin()

    def begin(self) -> None:
        """From now on."""
        if os.geteuid():
            for one in filter(Path.exists, (self.folder, self.folder / "checkpoints")):
                one.chmod(0o555)
            return
        # On a mount of its own, since one with a file that is open for writing, the lock, cannot become read-only.
        for options in (["--bind", self.folder], ["-o", "remount,bind,ro"]):
            subprocess.run(["mount", *options, self.folder], check=True, capture_output=True)

    def end(self) -> None:
        """As it was, if it was not so already."""
        if os.geteuid():
            for one in filter(Path.exists, (self.folder, self.folder / "checkpoints")):
                one.chmod(0o755)
            return
        while subprocess.run(["umount", self.folder], capture_output=True).returncode == 0:
            pass
