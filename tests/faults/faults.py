"""All faults by name: each a small class that injects itself and heals."""

from tests.faults.breakage import Breakage
from tests.faults.broken_broker import (
    BrokerFrozen,
    BrokerKill9,
    LostAcknowledgements,
    NetworkCut,
    NetworkHalfOpen,
    NetworkSlow,
    SlowDisk,
)
from tests.faults.broken_dead_letters import (
    DeadLettersDeleted,
    DeadLettersMissing,
    DeadLettersTooLarge,
)
from tests.faults.broken_members import (
    ClockJumps,
    Kill9,
    Scale,
    SigTerm,
    SigTermTwice,
    Zombie,
    ZombieReplaced,
)
from tests.faults.broken_model import Model, ModelFrozen, ModelGone, ModelRestart
from tests.faults.broken_prompts import Poison
from tests.faults.broken_topics import CorruptBatch, TopicRemade
from tests.faults.model_server import MODES, POISON

FAULTS: dict[str, Breakage] = {
    "consumer: kill -9": Kill9(),
    "consumer: SIGTERM": SigTerm(),
    "consumer: SIGTERM twice": SigTermTwice(),
    "consumer: frozen beyond its session": Zombie(),
    "consumer: frozen and replaced": ZombieReplaced(),
    "members join or leave": Scale(),
    "broker: kill -9 and restart": BrokerKill9(),
    "broker: frozen": BrokerFrozen(),
    "network: slow": NetworkSlow(),
    "network: cut": NetworkCut(),
    "network: half-open": NetworkHalfOpen(),
    "broker: slow disk": SlowDisk(),
    "broker: acknowledgements lost": LostAcknowledgements(),
    **{f"model: {mode}": Model(mode) for mode in MODES},
    "model: one of two gone": ModelGone(),
    "model: both restarted": ModelRestart(),
    "model: frozen for long": ModelFrozen(),
    **{f"prompt: always {way}": Poison(way) for way in POISON},
    "posts: corrupt batch on the disk": CorruptBatch(),
    "posts: a topic deleted and created again": TopicRemade(),
    "dead letters: refused as too large": DeadLettersTooLarge(),
    "dead letters: topic missing": DeadLettersMissing(),
    "dead letters: topic deleted under them": DeadLettersDeleted(),
    "clock: jumps": ClockJumps(),
}
