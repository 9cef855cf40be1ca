"""Which of the two guarantees a service gives."""

from collections.abc import Callable

from consumer.delivery.batcher import Batcher
from consumer.delivery.guarantees.at_least_once import AtLeastOnce
from consumer.delivery.guarantees.committer import Committer
from consumer.delivery.guarantees.exactly_once import ExactlyOnce
from consumer.delivery.guarantees.guarantee import Guarantee
from consumer.delivery.guarantees.publisher import Publisher
from consumer.delivery.guarantees.sending import OutcomeSender
from consumer.delivery.in_flight import InFlight
from consumer.delivery.offsets import Ledger
from consumer.delivery.topic_watch import TopicWatch
from consumer.options import ServiceLimits
from consumer.telemetry.observer import Observer
from runtime.clock import Clock
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import Brokers


def make_guarantee(
    brokers: Brokers,
    options: KafkaOptions,
    limits: ServiceLimits,
    *,
    sender: OutcomeSender,
    ledger: Ledger,
    in_flight: InFlight,
    batcher: Batcher,
    clock: Clock,
    observer: Observer,
    watch: Callable[[], TopicWatch],
    on_failure: Callable[[BaseException], None],
) -> Guarantee:
    """Make the one that the options name; `watch` is called once the group is joined."""
    if options.guarantee == "exactly-once":
        return ExactlyOnce(
            brokers,
            options,
            limits=limits.publish,
            policy=limits.commit,
            sender=sender,
            ledger=ledger,
            in_flight=in_flight,
            batcher=batcher,
            clock=clock,
            observer=observer,
            watch=watch,
            on_failure=on_failure,
        )
    return AtLeastOnce(
        Publisher(brokers, options, limits.publish, clock, sender=sender),
        Committer(
            ledger,
            limits.commit,
            clock=clock,
            observer=observer,
            static_id=options.group_instance_id,
        ),
        ledger,
    )
