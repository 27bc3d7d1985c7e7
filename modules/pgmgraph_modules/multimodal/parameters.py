"""What a multimodal mixture has learnt: the weights of its components, and what each modality looks like in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import torch
from torch import Tensor

from pgmgraph import CategoricalPotential, Gaussian, Message, Point
from pgmgraph_modules.conjugate import dirichlet
from pgmgraph_modules.conjugate.emissions import Emissions
from pgmgraph_modules.multimodal.tables import Classes, Words

Modality: TypeAlias = Classes | Emissions | Words
Mail: TypeAlias = Mapping[str, Message]
"""Messages by the names of ports, such as `w.sound`."""


@dataclass(frozen=True)
class Parameters:
    """q(pi) = Dirichlet(concentration), and the posterior of each modality's densities.

    Attributes:
        concentration: (C,).
        prior: the concentration of the symmetric prior of pi, for each component.
        modalities: by the name of the port.
        weights: by the name of the port, what a modality's evidence is multiplied by; 1 where it is not named.
    """

    concentration: Tensor
    prior: float
    modalities: Mapping[str, Modality]
    weights: Mapping[str, float] = field(default_factory=dict)

    def expected_log_weights(self) -> Tensor:
        """E[log pi], (C,)."""
        return dirichlet.expected_log(self.concentration)

    def log_likelihoods(self, mail: Mail) -> Tensor:
        """Log lambda_n(c), (n, C): what all that lies below says of c."""
        parts = [self.weight(port) * log_likelihoods(self.modalities[port], message) for port, message in mail.items()]
        return torch.stack(parts).sum(0)

    def log_joint(self, mail: Mail) -> Tensor:
        """E[log pi_c] + log lambda_n(c), (n, C)."""
        return self.log_likelihoods(mail) + self.expected_log_weights()

    def sums(self, mail: Mail, probs: Tensor) -> dict[str, Tensor]:
        """What the posterior follows from, given q(c), (n, C): sums by the name of the port, and of q(c) itself."""
        found = {port: self.weight(port) * _sums(self.modalities[port], one, probs) for port, one in mail.items()}
        return {"c": probs.sum(0), **found}

    def updated(self, sums: Mapping[str, Tensor]) -> Parameters:
        """The posterior given such sums."""
        modalities = {port: one.updated(sums[port]) if port in sums else one for port, one in self.modalities.items()}
        return replace(self, concentration=self.prior + sums["c"], modalities=modalities)

    def divergence_of_weights(self) -> Tensor:
        """KL of the Dirichlet posterior of pi from its prior, ()."""
        return dirichlet.divergence(self.concentration, torch.full_like(self.concentration, self.prior))

    def divergences(self) -> dict[str, Tensor]:
        """KL of each modality's posterior from its prior, ()."""
        return {port: one.divergence() for port, one in self.modalities.items()}

    def weight(self, port: str) -> float:
        """What a modality's evidence is multiplied by."""
        return self.weights.get(port, 1.0)

    def state(self) -> dict[str, object]:
        """Tensors and plain values by name."""
        return {"concentration": self.concentration, **{port: one.state() for port, one in self.modalities.items()}}

    def of_state(self, state: Mapping[str, object]) -> Parameters:
        """Parameters of the same prior that have this state."""
        kinds: dict[str, type[Modality]] = {"x": Classes, "v": Emissions, "w": Words}
        modalities: dict[str, Modality] = {}
        for port, values in state.items():
            if port != "concentration":
                assert isinstance(values, Mapping)
                modalities[port] = kinds[port[0]].of_state(values)
        concentration = state["concentration"]
        assert isinstance(concentration, Tensor)
        return replace(self, concentration=concentration, modalities=modalities)


def log_likelihoods(modality: Modality, message: Message) -> Tensor:
    """What one modality says of c, (n, C); zero where it is missing."""
    match modality, message:
        case Classes(), CategoricalPotential():
            return modality.log_likelihoods(message)
        case Emissions(), Gaussian():
            return modality.log_likelihoods(message)
        case Words(), Point():
            return modality.log_likelihoods(message)
    raise AssertionError(f"{type(modality).__name__} explains no {type(message).__name__}")


def _sums(modality: Modality, message: Message, probs: Tensor) -> Tensor:
    match modality, message:
        case Classes(), CategoricalPotential():
            return modality.sums(message, probs)
        case Emissions(), Gaussian():
            return modality.sums(message, probs)
        case Words(), Point():
            return modality.sums(message, probs)
    raise AssertionError(f"{type(modality).__name__} explains no {type(message).__name__}")
