"""A stand-in for ROS 2: modules that speak the interface of rclpy and sensor_msgs, within one process."""

from __future__ import annotations

import queue
import sys
import threading
import types
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest


@dataclass
class Image:
    """The fields of sensor_msgs/msg/Image that are read."""

    height: int = 0
    width: int = 0
    encoding: str = ""
    is_bigendian: int = 0
    step: int = 0
    data: bytes = b""


def image(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> Image:
    """A message of (H, W) or (H, W, C) pixels, its rows padded by so many bytes."""
    swapped = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = [row.tobytes() + b"\xff" * padding for row in swapped]
    return Image(len(pixels), pixels.shape[1], encoding, int(big), len(rows[0]), b"".join(rows))


class Subscription:
    """Keeps the last `depth` messages until they are spun, as the middleware does."""

    def __init__(self, callback: Callable[[Image], None], depth: int) -> None:
        self.callback = callback
        self.waiting: deque[Image] = deque(maxlen=depth)


class Node:
    """One topic after another; `come` is set when there is a message."""

    def __init__(self, ros: RclpyStandIn, name: str) -> None:
        self.ros, self.name = ros, name
        self.subscriptions: list[Subscription] = []
        self.come: queue.Queue[None] = queue.Queue()
        self.destroyed = False

    def create_subscription(
        self, kind: type, topic: str, callback: Callable[[Image], None], qos_profile: int
    ) -> Subscription:
        assert kind is Image
        subscription = Subscription(callback, qos_profile)
        self.subscriptions.append(subscription)
        self.ros.topics.setdefault(topic, []).append((self, subscription))
        self.ros.subscribed.set()
        return subscription

    def destroy_subscription(self, subscription: Subscription) -> bool:
        self.subscriptions.remove(subscription)
        for listeners in self.ros.topics.values():
            listeners[:] = [one for one in listeners if one[1] is not subscription]
        return True

    def destroy_node(self) -> None:
        self.destroyed = True


class RclpyStandIn(types.ModuleType):
    """`rclpy`, as far as a topic is read by it."""

    def __init__(self) -> None:
        super().__init__("rclpy")
        self.topics: dict[str, list[tuple[Node, Subscription]]] = {}
        self.nodes: list[Node] = []
        self.subscribed = threading.Event()
        self.initialised = False
        self.begun = 0

    def init(self) -> None:
        assert not self.initialised
        self.initialised, self.begun = True, self.begun + 1

    def ok(self) -> bool:
        return self.initialised

    def try_shutdown(self) -> None:
        self.initialised = False

    def create_node(self, name: str) -> Node:
        assert self.initialised
        assert name.isidentifier()
        self.nodes.append(Node(self, name))
        return self.nodes[-1]

    def spin_once(self, node: Node, *, timeout_sec: float) -> None:
        """Call back for one message, or come back when none has come in time."""
        try:
            node.come.get(timeout=timeout_sec)
        except queue.Empty:
            return
        for subscription in list(node.subscriptions):
            if subscription.waiting:
                subscription.callback(subscription.waiting.popleft())
                return

    def publish(self, topic: str, message: Image) -> None:
        """What a publisher in any thread does."""
        for node, subscription in self.topics.get(topic, []):
            subscription.waiting.append(message)
            node.come.put(None)


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> RclpyStandIn:
    """ROS 2 as if it were installed."""
    rclpy = RclpyStandIn()
    messages = types.ModuleType("sensor_msgs.msg")
    vars(messages)["Image"] = Image
    monkeypatch.setitem(sys.modules, "rclpy", rclpy)
    monkeypatch.setitem(sys.modules, "sensor_msgs", types.ModuleType("sensor_msgs"))
    monkeypatch.setitem(sys.modules, "sensor_msgs.msg", messages)
    return rclpy
