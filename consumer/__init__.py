"""The service: posts in, affect events out.

The way of one post, a file for each stage:

    source ─ decode ─ batch ─ plan ─ infer ─ read ─ event ─ publish ─ settle

`analyst` is the stages from decode to event, for one batch; `work` carries batches through all of
them; `tracker` knows what may be committed, `settle` is the one committer; `service` is the whole
life, from start through rebalances to the exit status; `app` puts it together from the settings.

    kafka/      the brokers, behind a protocol
    settings/   everything that can be configured
    telemetry/  logs, metrics, health
"""
