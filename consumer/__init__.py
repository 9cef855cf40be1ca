"""The service: posts in, affect events out.

The way of one post:

    delivery   source ─ batcher ─ scheduler
    analysis   decoder ─ plan ─ inference ─ reading ─ event
    delivery   publisher ─ committer

`processor` is the one protocol between the two rooms; `records` and `dead_letters` are what goes
through it. `assembly` makes the parts from the settings, `app` runs them to an exit status.

    delivery/   Kafka's side: it knows of no task and no model
    analysis/   the model's side: it knows of no Kafka
    settings/   everything that can be configured
    telemetry/  log events, metrics, health
"""
