"""Streams: learning from data as they come."""

from pgmgraph.streams.course import ChunkLearnt
from pgmgraph.streams.folder import FolderSource
from pgmgraph.streams.queued import QueueSource
from pgmgraph.streams.ros2 import ImageTopic
from pgmgraph.streams.source import Block, Resumable, Source
from pgmgraph.streams.stream import fit_stream

__all__ = [
    "Block",
    "ChunkLearnt",
    "FolderSource",
    "ImageTopic",
    "QueueSource",
    "Resumable",
    "Source",
    "fit_stream",
]
