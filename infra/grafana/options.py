"""Rows of the engineer's dashboard for what is off by default."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.grafana.expressions import OURS, quantile, rate
from infra.grafana.panels import curves, row


def second_model(found: Dashboard) -> Dashboard:
    """Put the row of the second model."""
    return row(
        found,
        "The second model",
        curves(
            "Second model there",
            "1 while a server of the second model takes prompts. No curve: none is configured.",
            "short",
            {"{{instance}}": f"emostream_second_available{{{OURS}}}"},
            top=1,
        ),
        curves(
            "How the two models agree",
            "Correlation of their valences over the last 400 posts that both read: .80 to .90 on"
            " tweets. Below .77 the second doesn't know this kind of text.",
            "short",
            {"{{task}} {{instance}}": f"emostream_models_correlation{{{OURS}}}"},
            top=1,
        ),
        curves(
            "Events by opinion",
            "Whose reading they are. first: the second could not answer in time. second: the first"
            " is out, or part of the posts is shed.",
            "short",
            {"{{opinion}}": f"sum by (opinion) ({rate('emostream_opinions_total')})"},
        ),
    )


def live_sources(found: Dashboard) -> Dashboard:
    """Put the row of what reads live sources."""
    # By source: the processes that read them are not among the consumers chosen at the top.
    return row(
        found,
        "Live sources",
        curves(
            "Connected",
            "1 while a source is connected. No curve: none is scraped.",
            "short",
            {"{{source}}": "max by (source) (emostream_live_connected)"},
            top=1,
        ),
        curves(
            "Since the last item",
            "Time for which a source has given nothing; feeds may be silent for long.",
            "s",
            {"{{source}}": "time() - max by (source) (emostream_live_last_item_timestamp_seconds)"},
        ),
        curves(
            "How late a source is read",
            "Age of the newest item by the source's clock when it came. High and falling: it"
            " catches up.",
            "s",
            {"{{source}}": "max by (source) (emostream_live_lag_seconds)"},
        ),
        curves(
            "Records written",
            "Acknowledged by Kafka, a second.",
            "short",
            {
                "{{source}}": "sum by (source) ("
                "rate(emostream_live_records_total[$__rate_interval]))"
            },
        ),
        curves(
            "Live disconnects",
            "By reason, a second.",
            "short",
            {
                "{{source}} {{reason}}": "sum by (source, reason) ("
                "rate(emostream_live_disconnects_total[$__rate_interval]))"
            },
        ),
        curves(
            "Time that is lost",
            "Stretches that a source no longer had when it was read again.",
            "s",
            {"{{source}}": "sum by (source) (increase(emostream_live_gap_seconds_total[1h]))"},
        ),
    )


def transactions_registry_traces(found: Dashboard) -> Dashboard:
    """Put the row of exactly-once, the schema registry and traces, collapsed: most have none."""
    return row(
        found,
        "Exactly-once, registry, traces",
        curves(
            "Transactions by outcome",
            "aborted: its records are tried again. fenced: another member writes for the partition"
            " by now, or the brokers ended it. All 0: delivery is at-least-once.",
            "short",
            {"{{outcome}}": f"sum by (outcome) ({rate('emostream_transactions_total')})"},
            width=12,
        ),
        curves(
            "Time of a transaction",
            "From its begin to its commit; after 20 s it is aborted.",
            "s",
            {
                "half": quantile(0.5, "emostream_transaction_seconds"),
                "95 %": quantile(0.95, "emostream_transaction_seconds"),
            },
            width=12,
        ),
        curves(
            "Partitions that aren't read yet",
            "Assigned, and their transactions can't begin: `partition_not_begun` in the log says"
            " why. Nobody measures their lag meanwhile.",
            "short",
            {"{{instance}}": f"emostream_partitions_not_begun{{{OURS}}}"},
        ),
        curves(
            "Posts that wait for a schema",
            "Above 0 for long: the registry gives no usable answer. All 0: it does, or none is"
            " configured.",
            "short",
            {"{{instance}}": f"emostream_registry_waiting_posts{{{OURS}}}"},
        ),
        curves(
            "Questions to the registry",
            "A few at the start and one for each new schema. not_found: dead letters"
            " UnknownSchema. refused: the consumer ends.",
            "short",
            {"{{outcome}}": f"sum by (outcome) ({rate('emostream_registry_requests_total')})"},
        ),
        curves(
            "Spans of traces",
            "Taken by the collector, or lost: queue_full, the collector is too slow; failed, it is"
            " away or refuses them.",
            "short",
            {
                "exported": f"sum({rate('emostream_spans_exported_total')})",
                "lost, {{reason}}": f"sum by (reason) ({rate('emostream_spans_dropped_total')})",
            },
        ),
        collapsed=True,
    )
