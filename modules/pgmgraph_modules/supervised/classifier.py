"""Labels from vectors: a classifier that learns with the rest of the model and pulls at what it classifies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pgmgraph import Belief, Categorical, Out
from pgmgraph.errors import DataError
from pgmgraph_modules.supervised.predictor import Predictor


class Classifier(Predictor):
    r"""p(y_n = k | z_n) = softmax(f(z_n))_k, for labels that may be missing for most items. See `Predictor`.

    C = (I - 11'/K) / 2 bounds the curvature of log-sum-exp everywhere (Boehning, 1992), so with a linear f the term
    log p(y | a) - tr(C W S W') / 2 is a bound of E log p(y | z). Where y is unknown,
    q(y = k) is proportional to exp(a_k / sqrt(1 + pi s_k / 8)), s_k the variance of a_k (MacKay, 1992).

    Args:
        classes: K; labels are 0 to K - 1.
        hidden, weight, prior_variance, epochs, first_epochs, batch_size, lr: see `Predictor`.

    Raises:
        ValueError: an argument that no classifier can have.
        DataError: from `check` and `fit`, a label outside 0 to K - 1.
    """

    predicted = Out(Categorical)

    def __init__(
        self,
        classes: int,
        *,
        hidden: Sequence[int] = (),
        weight: float = 1.0,
        prior_variance: float = 1.0,
        epochs: int = 10,
        first_epochs: int | None = None,
        batch_size: int = 128,
        lr: float = 1e-2,
    ) -> None:
        super().__init__(
            hidden=hidden,
            weight=weight,
            prior_variance=prior_variance,
            epochs=epochs,
            first_epochs=first_epochs,
            batch_size=batch_size,
            lr=lr,
        )
        if classes < 2:
            raise ValueError(f"Expected at least 2 classes; got {classes}.")
        self.classes = classes

    @property
    def outputs(self) -> int:
        """See `Predictor`."""
        return self.classes

    def supports(self) -> dict[str, tuple[float, float]]:
        """See `Module`."""
        return {"y": (0.0, self.classes - 1.0)}

    def event_shapes(self, z: tuple[int, ...] | None, y: tuple[int, ...] | None) -> dict[str, tuple[int, ...]]:
        """See `Module`; labels are numbers, not vectors."""
        return {"y": (), "predicted": (self.classes,)}

    def log_likelihood(self, a: Tensor, y: Tensor) -> Tensor:
        """See `Predictor`."""
        return torch.log_softmax(a, 1).gather(1, self._labels(y)[:, None]).squeeze(1)

    def gradient(self, a: Tensor, y: Tensor) -> Tensor:
        """See `Predictor`."""
        return torch.nn.functional.one_hot(self._labels(y), self.classes) - torch.softmax(a, 1)

    def curvature(self) -> Tensor:
        """See `Predictor`."""
        ones = torch.ones(self.classes, dtype=self.dtype, device=self.context.device)
        return 0.5 * (ones.diag() - 1 / self.classes)

    def foretold(self, a: Tensor, spread: Tensor) -> Belief:
        """See `Predictor`."""
        variance = spread.diagonal(dim1=1, dim2=2)
        return Categorical(torch.softmax(a / (1 + math.pi / 8 * variance).sqrt(), 1))

    def known(self, y: Tensor) -> Belief:
        """See `Predictor`."""
        return Categorical(torch.nn.functional.one_hot(self._labels(y), self.classes).to(self.dtype))

    def _labels(self, y: Tensor) -> Tensor:
        labels = y.long()
        if not torch.equal(labels.to(y), y):
            raise DataError(
                f"Expected whole numbers from 0 to {self.classes - 1} as labels at {self.context.name}.y; "
                f"got {float(y[labels.to(y) != y][0]):g}. Number the classes."
            )
        return labels
