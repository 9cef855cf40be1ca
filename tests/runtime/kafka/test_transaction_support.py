"""Without the right to transactions it is said so, with the right to ask for."""

import uuid

from aiokafka.admin import AIOKafkaAdminClient

from runtime.kafka.options import KafkaOptions
from runtime.kafka.transaction_support import TransactionSupport, transaction_support
from tests.runtime.kafka.guarded import Guarded


async def ask(guarded: Guarded, options: KafkaOptions) -> TransactionSupport:
    admin = AIOKafkaAdminClient(bootstrap_servers=guarded.sasl, **guarded.login("ann"))
    await admin.start()
    try:
        return await transaction_support(admin, options)
    finally:
        await admin.close()


async def test_the_right_is_missed_until_it_is_granted_for_ids_with_the_prefix(
    guarded: Guarded,
) -> None:
    group = f"group-{uuid.uuid4().hex[:8]}"
    options = KafkaOptions(bootstrap=guarded.sasl, group_id=group)
    problem = (await ask(guarded, options)).problem
    assert f"WRITE and DESCRIBE on transactional ids that begin with {group}/" in problem
    await guarded.grant("ann", [("WRITE", "transactional-id", f"{group}/")])
    assert (await ask(guarded, options)).problem == ""
