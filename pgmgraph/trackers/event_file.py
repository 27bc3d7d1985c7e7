"""An event file, which TensorBoard reads: numbers and pictures by tag and step."""

from __future__ import annotations

import io
import os
import socket
import time
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto import event_pb2, summary_pb2  # type: ignore[import-untyped]  # has no types
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

from pgmgraph.trackers.base import Row
from pgmgraph.trackers.pictures import Pixels


class EventFile:
    """A new event file in a folder; what was written is on disk when a method returns.

    torch's and TensorBoard's own writers hand the bytes to a thread, whose failure nobody catches.

    Args:
        folder: where it is; made if missing.
        first_step: whatever older files of the folder hold from this step on is void: a resumed run comes to it again.

    Raises:
        OSError: the folder or the file cannot be written.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # The reader sorts the files of a folder by name, and takes the number in it for the time.
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        self._path = folder / name
        self._path.touch(exist_ok=False)
        self._write(file_version="brain.Event:2")
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(session_log=start, step=first_step)

    def numbers(self, row: Row, step: int) -> None:
        """Write numbers by their tags, as float32."""
        values = [summary_pb2.Summary.Value(tag=tag, simple_value=value) for tag, value in row.items()]
        self._write(summary=summary_pb2.Summary(value=values), step=step)

    def picture(self, tag: str, pixels: Pixels, step: int) -> None:
        """Write a grey picture, (H, W)."""
        height, width = pixels.shape
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, format="PNG")
        image = summary_pb2.Summary.Image(
            height=height, width=width, colorspace=1, encoded_image_string=encoded.getvalue()
        )
        value = summary_pb2.Summary.Value(tag=tag, image=image)
        self._write(summary=summary_pb2.Summary(value=[value]), step=step)

    def _write(self, **content: object) -> None:
        event = event_pb2.Event(wall_time=time.time(), **content)
        # Opened each time, and never made anew: a file that was removed is an error, not a file without a head.
        with self._path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            RecordWriter(file).write(event.SerializeToString())
