"""Modules in processes of their own, on one machine or many, by Ray. Needs the extra `ray`."""

from pgmgraph.executors.ray.executor import RayExecutor

__all__ = ["RayExecutor"]
