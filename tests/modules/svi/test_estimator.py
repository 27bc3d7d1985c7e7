"""The estimator is Pyro's to the last bit, and learning looks at a loss once in a while."""

import pyro
import pytest
import torch
from pyro import distributions as dist
from pyro.infer import TraceMeanField_ELBO
from torch.utils._python_dispatch import TorchDispatchMode

from pgmgraph import ModelGraph, Observation, fit
from pgmgraph_modules.svi.estimator import MeanField
from pgmgraph_modules.vae import VAE

torch.set_num_threads(1)


def model(x):
    with pyro.plate("items", len(x)):
        z = pyro.sample("z", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
        # Of a normal from a Laplace no KL is registered: it is taken by the draw.
        w = pyro.sample("w", dist.Laplace(0.0, 1.0))
        pyro.sample("x", dist.Normal(z.sum(-1) + w, 0.5), obs=x)


class Guide:
    def __init__(self):
        self.mean = torch.zeros(7, 2, requires_grad=True)
        self.log_scale = torch.zeros(7, requires_grad=True)

    def __call__(self, x):
        with pyro.plate("items", len(x)):
            pyro.sample("z", dist.Normal(self.mean, self.log_scale.exp()[:, None]).to_event(1))
            pyro.sample("w", dist.Normal(self.mean[:, 0], self.log_scale.exp()))


@pytest.mark.parametrize("particles", [1, 3])
def test_loss_and_gradients_are_those_of_pyro(particles):
    x = torch.randn(7, generator=torch.Generator().manual_seed(0))
    found = []
    for estimator in (MeanField(num_particles=particles), TraceMeanField_ELBO(num_particles=particles)):
        guide = Guide()
        torch.manual_seed(1)
        with pyro.validation_enabled(False):
            loss = estimator.differentiable_loss(model, guide, x)
        found.append((loss.detach(), *torch.autograd.grad(loss, [guide.mean, guide.log_scale])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


class Looks(TorchDispatchMode):
    """Counts how often a tensor's value is looked at, which would stop a GPU."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_an_epoch_looks_at_no_value_but_at_losses_once_in_a_while():
    looks = []
    for epochs in (1, 5):
        pixels = Observation(torch.rand(128, 6, generator=torch.Generator().manual_seed(0)))
        graph = ModelGraph(pixels=pixels, vae=VAE(latent_dim=2, hidden=(4,), batch_size=4, epochs=epochs))
        graph.connect(pixels.value, graph.modules["vae"].x)
        with Looks() as counted:
            fit(graph, objective=False)
        looks.append(counted.count)
    # Four epochs more have 128 minibatches more.
    assert looks[1] - looks[0] < 20
