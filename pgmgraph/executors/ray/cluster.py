"""A Ray cluster: joining one, or beginning one on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import ray

from pgmgraph.errors import WorkerError

# Ray leaves these without types.
_resources: Callable[[], Mapping[str, float]] = ray.cluster_resources
_free: Callable[[], Mapping[str, float]] = ray.available_resources
_nodes: Callable[[], list[Mapping[str, Any]]] = ray.nodes


def join(address: str | None) -> bool:
    """Join a cluster, or begin one on this machine where there is no address; False where this process is in one.

    Raises:
        WorkerError: there is no such cluster.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    alone: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise WorkerError(
            f"Expected a Ray cluster at {address or 'this machine'}; got: {error} "
            "Begin one with `ray start --head`, or leave address out for one on this machine."
        ) from error
    return True


def leave() -> None:
    """Leave the cluster; one that was begun by this process ends."""
    ray.shutdown()


def has_machine_for(resources: Mapping[str, float]) -> bool:
    """Whether one of the machines has as much, were it free."""
    asked = {{"cpu": "CPU", "gpu": "GPU"}.get(name, name): amount for name, amount in resources.items()}
    offers = [node["Resources"] for node in _nodes() if node["Alive"]]
    return any(all(offer.get(name, 0) >= amount for name, amount in asked.items()) for offer in offers)


def room() -> str:
    """What the cluster has, and what of it is free, as a sentence."""
    return f"The cluster has {_told(_resources())}, of which {_told(_free())} are free."


def _told(resources: Mapping[str, float]) -> str:
    listed = [
        f"{value:g} {name}" for name, value in sorted(resources.items()) if ":" not in name and "memory" not in name
    ]
    return ", ".join(listed) or "nothing"
