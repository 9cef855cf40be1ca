"""server.properties of the one-node cluster: every value, and why it is not Kafka's default."""

from __future__ import annotations

from pathlib import Path

from infra.kafka._ports import address
from infra.kafka.settings import BrokerSettings

# One node: it is broker and controller, and its own only voter.
_NODE_ID = "1"


def render_properties(
    settings: BrokerSettings,
    *,
    log_dir: Path,
    port: int,
    controller_port: int,
) -> str:
    """Write server.properties for one node.

    `log_dir` holds the partitions; `port` is the clients', `controller_port` the controller's
    (always on 127.0.0.1: nobody else speaks to it).
    """
    clients = f"PLAINTEXT://{address(settings.host, port)}"
    values = {
        "process.roles": "broker,controller",
        "node.id": _NODE_ID,
        # Static voters: no voter set is written into the data folder, so that a folder can be
        # started again on other ports.
        "controller.quorum.voters": f"{_NODE_ID}@127.0.0.1:{controller_port}",
        "listeners": f"{clients},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": clients,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log_dir),
        # A typo in a topic's name must fail, not make a topic with the wrong settings.
        "auto.create.topics.enable": "false",
        "num.partitions": str(settings.default_partitions),
        # One node can hold one replica only; the internal topics ask for three by default.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # 50 partitions each by default: seconds of file making for a handful of groups.
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.num.partitions": "4",
        # Otherwise the first member of a group waits 3 s for others.
        "group.initial.rebalance.delay.ms": "0",
        # After kill -9 the old incarnation must be fenced before the new one may register:
        # 9 s by default, 11.7 s to restart; with these 3 to 4 s. Shorter ones would fence a
        # broker that merely waits for the processor on a busy laptop.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        # Allocated at start, from the heap: 128 MiB by default. 16 MiB compacts 600,000 keys at a
        # time, and takes 130 MiB off the resident size.
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        # A laptop's share of threads, not a server's.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        **settings.properties,
    }
    return "".join(f"{key}={_escape(value)}\n" for key, value in values.items())


def _escape(value: str) -> str:
    # Java's properties: a backslash starts an escape, a line end ends the value.
    return value.replace("\\", "\\\\").replace("\n", "\\n")
