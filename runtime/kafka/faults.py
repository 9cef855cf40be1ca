"""What aiokafka's errors mean, as faults of ours."""

from aiokafka import errors

from runtime.kafka.errors import (
    Denied,
    Fenced,
    GroupRefused,
    KafkaFault,
    NoOffset,
    ProducerLost,
    RecordRefused,
    RecordTooLarge,
    TopicMissing,
    Unreachable,
)


class InvalidRecordError(errors.BrokerResponseError):  # type: ignore[misc]
    """A record that its topic doesn't take: one without a key on a compacted topic."""

    errno = 87
    message = "INVALID_RECORD"


errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)
# aiokafka 0.14 knows no such code, and takes it for an unknown server error.

_FAULTS: tuple[tuple[tuple[type[BaseException], ...], type[KafkaFault]], ...] = (
    ((errors.MessageSizeTooLargeError, errors.RecordListTooLargeError), RecordTooLarge),
    (
        (errors.InvalidTimestampError, errors.PolicyViolationError, InvalidRecordError),
        RecordRefused,
    ),
    (
        (
            errors.CommitFailedError,
            errors.IllegalGenerationError,
            errors.UnknownMemberIdError,
            errors.RebalanceInProgressError,
            errors.IllegalStateError,
        ),
        Fenced,
    ),
    (
        (
            errors.TopicAuthorizationFailedError,
            errors.GroupAuthorizationFailedError,
            errors.ClusterAuthorizationFailedError,
            errors.TransactionalIdAuthorizationFailed,
            errors.AuthenticationFailedError,
            errors.AuthenticationMethodNotSupported,
            errors.SaslAuthenticationFailed,
            errors.UnsupportedSaslMechanismError,
            errors.IllegalSaslStateError,
        ),
        Denied,
    ),
    (
        (
            errors.InconsistentGroupProtocolError,
            errors.InvalidGroupIdError,
            errors.InvalidSessionTimeoutError,
        ),
        GroupRefused,
    ),
    ((errors.NoOffsetForPartitionError, errors.OffsetOutOfRangeError), NoOffset),
    ((errors.UnknownTopicOrPartitionError, errors.InvalidTopicError), TopicMissing),
    (
        (
            errors.OutOfOrderSequenceNumber,
            errors.UnknownProducerId,
            errors.InvalidProducerEpoch,
            errors.InvalidProducerIdMapping,
            errors.ProducerFenced,
            errors.ProducerClosed,
        ),
        ProducerLost,
    ),
)


def read_fault(error: BaseException, *, otherwise: type[KafkaFault] = Unreachable) -> KafkaFault:
    """What an error of aiokafka means. Its own text says no more than names of things."""
    if isinstance(error, KafkaFault):
        return error
    name, words = type(error).__name__, str(error)
    text = words if name in words else f"{name}: {words}".removesuffix(": ")
    for kinds, fault in _FAULTS:
        if isinstance(error, kinds):
            return fault(text)
    return otherwise(text)
