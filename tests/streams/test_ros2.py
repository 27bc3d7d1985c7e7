"""An image topic, by a stand-in for rclpy: encodings, rates, drops, shutdown."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
import torch

from pgmgraph import ModelGraph, Observation
from pgmgraph.errors import DataError
from pgmgraph.streams import ImageTopic, fit_stream
from pgmgraph.streams.ros2 import pixels_of
from tests.refusals import refused
from tests.streams.rclpy_stand_in import Image, Node, image, ros
from tests.toys import Sink

TOPIC = "/camera/image_raw"
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
DEPTH = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)

__all__ = ["ros"]


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("encoding", "sent", "expected"),
    [
        ("mono8", GREY, GREY),
        ("8UC1", GREY, GREY),
        ("rgb8", COLOUR, COLOUR.transpose(2, 0, 1)),
        ("bgr8", COLOUR, COLOUR[..., ::-1].transpose(2, 0, 1)),
        ("mono16", GREY.astype(np.uint16) * 300, GREY.astype(np.uint16) * 300),
        ("32FC1", DEPTH, DEPTH),
    ],
)
def test_every_encoding_is_read(encoding, sent, expected, big, padding):
    found = pixels_of(image(sent, encoding, padding, big))
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (image(GREY, "bayer_rggb8"), ("bayer_rggb8", "mono8", "image_proc")),
        (Image(3, 4, "mono8", 0, 3, bytes(9)), ("at least 4 bytes", "rows of 3")),
        (Image(3, 4, "mono8", 0, 4, bytes(11)), ("3 rows", "11 bytes")),
        (Image(0, 0, "mono8", 0, 0, b""), ("0 rows", "0 bytes")),
    ],
)
def test_what_is_no_image_is_refused(message, parts):
    with refused(DataError, *parts):
        pixels_of(message)


def publishing(ros, n, pause=0.0):
    """A camera that shows so many images, image k all k, once somebody listens; then ROS is shut down."""

    def publish():
        ros.subscribed.wait()
        for number in range(n):
            ros.publish(TOPIC, image(np.full((3, 4), number, dtype=np.uint8), "mono8"))
            time.sleep(pause)
        time.sleep(0.05)
        ros.try_shutdown()

    thread = threading.Thread(target=publish)
    thread.start()
    return thread


def seen(blocks):
    return [int(np.asarray(block).flat[0]) for block in blocks if block is not None]


def test_images_come_in_order_and_all_is_put_away_at_the_end(ros):
    camera = publishing(ros, 20, pause=0.002)
    topic = ImageTopic(TOPIC, poll=0.01, depth=30)
    assert seen(iter(topic)) == list(range(20))
    camera.join()
    [node] = ros.nodes
    assert node.destroyed
    assert node.subscriptions == []
    assert (ros.begun, ros.ok()) == (1, False)
    assert (topic.received, topic.dropped, topic.skipped) == (20, 0, 0)


def test_a_slow_stream_sees_the_last_images(ros):
    """While it learns nothing is spun, and the middleware keeps as many as the depth says."""
    blocks = iter(ImageTopic(TOPIC, poll=0.01, depth=3))
    assert next(blocks) is None
    for number in range(10):
        ros.publish(TOPIC, image(np.full((3, 4), number, dtype=np.uint8), "mono8"))
    found = []
    while len(found) < 3:
        block = next(blocks)
        found += [] if block is None else [int(np.asarray(block).flat[0])]
    assert found == [7, 8, 9]


def test_a_node_of_ones_own_is_spun_by_others_and_stays(ros):
    ros.init()
    node = Node(ros, "mine")
    topic = ImageTopic(TOPIC, node, poll=0.01, depth=2)
    blocks = iter(topic)
    assert next(blocks) is None
    for number in range(5):
        ros.publish(TOPIC, image(np.full((3, 4), number, dtype=np.uint8), "mono8"))
        ros.spin_once(node, timeout_sec=0)
    topic.stop()
    assert seen(blocks) == [3, 4]
    assert (topic.received, topic.dropped) == (5, 3)
    assert not node.destroyed
    assert ros.ok()
    assert node.subscriptions == []


def test_bad_images_are_refused_or_skipped(ros):
    for corrupt in ("refuse", "skip"):
        topic = ImageTopic(TOPIC, poll=0.01, corrupt=corrupt, timeout=0.2)
        blocks = iter(topic)
        assert next(blocks) is None
        ros.publish(TOPIC, image(GREY, "bayer_rggb8"))
        ros.publish(TOPIC, image(GREY, "mono8"))
        if corrupt == "refuse":
            with refused(DataError, "bayer_rggb8"):
                next(blocks)
            assert ros.nodes[-1].destroyed
            continue
        with pytest.warns(UserWarning, match="bayer_rggb8"):
            found = [next(block for block in blocks if block is not None)]
        assert np.array_equal(found[0], GREY)
        assert topic.skipped == 1
        with refused(DataError, TOPIC, "0.2 s"):
            list(blocks)


def test_what_is_prepared_is_learnt_from(ros):
    camera = publishing(ros, 12, pause=0.002)
    sink = Sink()
    graph = ModelGraph(seen=Observation.placeholder((3, 2), torch.uint8), sink=sink)
    graph.connect(graph.observations["seen"].value, sink.x)
    source = ImageTopic(TOPIC, poll=0.01, depth=30, prepare=lambda pixels: pixels[:, ::2])
    learnt = list(fit_stream(graph, source, chunk=5))
    camera.join()
    assert [one.items for one in learnt] == [5, 5, 2]


def test_without_ros_it_is_said_where_it_comes_from(monkeypatch):
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with refused(DataError, "rclpy", "apt install", "not from pip"):
        next(iter(ImageTopic(TOPIC)))


def test_arguments_that_no_topic_can_have():
    with refused(ValueError, "depth"):
        ImageTopic(TOPIC, depth=0)
    with refused(ValueError, "corrupt"):
        ImageTopic(TOPIC, corrupt="ignore")
