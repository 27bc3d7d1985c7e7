"""pgmgraph composes probabilistic modules that learn together into one model."""

from pgmgraph import errors, registry
from pgmgraph.callbacks import ProgressDisplay
from pgmgraph.checkpoints import Checkpoints
from pgmgraph.checks import Checked
from pgmgraph.events import (
    BeginningEnded,
    BeginningStarted,
    Callback,
    CheckpointSaved,
    Event,
    FitEnded,
    FitStarted,
    InterruptNoted,
    ModuleUpdated,
    Progress,
    RoundEnded,
    RoundStarted,
)
from pgmgraph.executors import Executor, SerialExecutor
from pgmgraph.fit import FitResult, fit
from pgmgraph.generate import generate
from pgmgraph.graph import ModelGraph
from pgmgraph.infer import infer, infer_blocks
from pgmgraph.learning import Scorer
from pgmgraph.ledger import Entry
from pgmgraph.messages import (
    Belief,
    Categorical,
    CategoricalPotential,
    Gaussian,
    GaussianEvidence,
    GaussianPotential,
    Message,
    MessageType,
    MixturePotential,
    Point,
    PooledGaussianPotential,
    Potential,
    SparsePoint,
)
from pgmgraph.module import Context, Guarantee, Module, Outbox
from pgmgraph.observation import Observation
from pgmgraph.plates import Batch, Batches
from pgmgraph.ports import In, Ins, Out
from pgmgraph.runs import Run
from pgmgraph.schedules import Schedule, Stage, View
from pgmgraph.scores import Scores, accuracy
from pgmgraph.variables import Beliefs, Drawn, save_beliefs
from pgmgraph.wires import Wire

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Batches",
    "BeginningEnded",
    "BeginningStarted",
    "Belief",
    "Beliefs",
    "Callback",
    "Categorical",
    "CategoricalPotential",
    "Checked",
    "CheckpointSaved",
    "Checkpoints",
    "Context",
    "Drawn",
    "Entry",
    "Event",
    "Executor",
    "FitEnded",
    "FitResult",
    "FitStarted",
    "Gaussian",
    "GaussianEvidence",
    "GaussianPotential",
    "Guarantee",
    "In",
    "Ins",
    "InterruptNoted",
    "Message",
    "MessageType",
    "MixturePotential",
    "ModelGraph",
    "Module",
    "ModuleUpdated",
    "Observation",
    "Out",
    "Outbox",
    "Point",
    "PooledGaussianPotential",
    "Potential",
    "Progress",
    "ProgressDisplay",
    "RoundEnded",
    "RoundStarted",
    "Run",
    "Schedule",
    "Scorer",
    "Scores",
    "SerialExecutor",
    "SparsePoint",
    "Stage",
    "View",
    "Wire",
    "accuracy",
    "errors",
    "fit",
    "generate",
    "infer",
    "infer_blocks",
    "registry",
    "save_beliefs",
]
