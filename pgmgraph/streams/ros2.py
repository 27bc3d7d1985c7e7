"""An image topic of ROS 2 as a source; rclpy is imported when a stream begins."""

from __future__ import annotations

import importlib
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from pgmgraph.errors import DataError
from pgmgraph.streams.source import Block

Pixels = npt.NDArray[np.generic]

# The type of a channel and how many there are, by sensor_msgs/image_encodings.hpp.
ENCODINGS = {
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}


class ImageMessage(Protocol):
    """What a sensor_msgs/msg/Image has."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any  # Any: bytes, an array.array or a list, as the version of rclpy has it


class ImageTopic:
    """The images of a topic, each a row: (H, W) in grey, (3, H, W) in colour, red first.

    Nothing is spun while the graph learns, and the middleware then keeps the last `depth` images: a stream that is
    slower than its camera sees fewer of them, and memory is bounded. With a node of one's own, which others spin, the
    last `depth` are kept here.

    ROS 2 comes from its own packages and not from pip: `apt install ros-<distro>-rclpy ros-<distro>-sensor-msgs`,
    then source its setup.bash, in an environment with the same Python.

    Args:
        topic: such as "/camera/image_raw".
        node: one to subscribe by, which somebody spins; by default one is made, spun and destroyed here.
        depth: how many images may wait.
        prepare: what makes a row of an image: cut it, shrink it, or replace the NaNs of a depth image.
        corrupt: whether to "refuse" an image that cannot be read, or to "skip" it with a warning.
        timeout: how many seconds without an image are an error; by default it waits for ever.
        poll: every how many seconds it says that there is nothing, so that an interrupt is heard.

    Attributes:
        received: how many images have come.
        dropped: how many of them had to give way to later ones here; what the middleware drops it does not tell.
        skipped: how many could not be read.

    Raises:
        DataError: while it is read: rclpy is not there; nothing came for `timeout` seconds; an image that cannot be
            read, with corrupt="refuse".
    """

    def __init__(
        self,
        topic: str,
        node: Any = None,  # noqa: ANN401  # an rclpy.node.Node, of which nothing is installed here
        *,
        depth: int = 10,
        prepare: Callable[[Pixels], Pixels] | None = None,
        corrupt: Literal["refuse", "skip"] = "refuse",
        timeout: float | None = None,
        poll: float = 0.2,
    ) -> None:
        if depth < 1:
            raise ValueError(f"Expected a depth of at least 1; got {depth}.")
        if corrupt not in ("refuse", "skip"):
            raise ValueError(f"Expected corrupt as one of refuse, skip; got {corrupt!r}.")
        self.topic = topic
        self.depth = depth
        self.received = self.dropped = self.skipped = 0
        self._node = node
        self._prepare = prepare
        self._corrupt = corrupt
        self._timeout = timeout
        self._poll = poll
        self._waiting: deque[ImageMessage] = deque(maxlen=depth)
        self._stopped = False

    def stop(self) -> None:
        """End the stream: the images that wait are the last."""
        self._stopped = True

    def __iter__(self) -> Iterator[Block]:
        rclpy, image = _ros2()
        begun = not rclpy.ok()
        if begun:
            rclpy.init()
        node = self._node or rclpy.create_node(
            "pgmgraph_" + "".join(one if one.isalnum() else "_" for one in self.topic)
        )
        subscription = node.create_subscription(image, self.topic, self._receive, self.depth)
        last = time.monotonic()
        try:
            while True:
                while self._waiting:
                    last = time.monotonic()
                    block = self._row(self._waiting.popleft())
                    if block is not None:
                        yield block
                if self._stopped or not rclpy.ok():
                    return
                if self._node is None:
                    rclpy.spin_once(node, timeout_sec=self._poll)
                else:
                    time.sleep(self._poll)
                if self._timeout is not None and time.monotonic() - last > self._timeout:
                    raise DataError(
                        f"Expected an image from {self.topic} within {self._timeout:g} s; none came. "
                        "Is it published? `ros2 topic hz` tells."
                    )
                if not self._waiting:
                    yield None
        finally:
            node.destroy_subscription(subscription)
            if self._node is None:
                node.destroy_node()
            if begun:
                rclpy.try_shutdown()

    def _receive(self, message: ImageMessage) -> None:
        self.received += 1
        self.dropped += len(self._waiting) == self.depth
        self._waiting.append(message)

    def _row(self, message: ImageMessage) -> Pixels | None:
        try:
            pixels = pixels_of(message)
        except DataError as error:
            if self._corrupt == "refuse":
                raise
            self.skipped += 1
            warnings.warn(f"An image of {self.topic} is skipped: {error}", stacklevel=3)
            return None
        return self._prepare(pixels) if self._prepare else pixels


def pixels_of(message: ImageMessage) -> Pixels:
    """The pixels of a sensor_msgs/msg/Image: (H, W), or (3, H, W) in colour, red first.

    Raises:
        DataError: an encoding that is not read here, or fewer bytes than it says.
    """
    if message.encoding not in ENCODINGS:
        raise DataError(
            f"Expected an image encoded as one of {', '.join(ENCODINGS)}; got {message.encoding!r}. "
            "Have it converted, as image_proc does."
        )
    kind, channels = ENCODINGS[message.encoding]
    dtype = np.dtype((">" if message.is_bigendian else "<") + kind)
    wide = message.width * channels * dtype.itemsize
    content = np.frombuffer(bytes(message.data), np.uint8)
    if message.step < wide or len(content) < message.height * message.step or not content.size:
        raise DataError(
            f"Expected {message.height} rows of at least {wide} bytes in an image {message.width} wide; got rows of "
            f"{message.step} and {len(content)} bytes in all."
        )
    # Rows may be padded.
    rows = content[: message.height * message.step].reshape(message.height, message.step)[:, :wide]
    pixels = np.ascontiguousarray(rows).view(dtype).astype(dtype.newbyteorder("="))
    if channels == 1:
        return pixels
    colours = pixels.reshape(message.height, message.width, channels).transpose(2, 0, 1)
    return np.ascontiguousarray(colours[::-1] if message.encoding == "bgr8" else colours)


def _ros2() -> tuple[Any, Any]:
    """The module rclpy, and the type of the messages."""
    try:
        return importlib.import_module("rclpy"), importlib.import_module("sensor_msgs.msg").Image
    except ModuleNotFoundError as error:
        raise DataError(
            f"Expected ROS 2, to read an image topic; there is no {error.name} here. It comes from the packages of a "
            "ROS 2 distribution and not from pip: apt install ros-<distro>-rclpy ros-<distro>-sensor-msgs, source "
            "/opt/ros/<distro>/setup.bash, and run a Python of the same version."
        ) from error
