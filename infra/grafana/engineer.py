"""The engineer's dashboard: does it keep up, and if not, which part is the slow one."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.grafana.expressions import OURS, quantile, rate
from infra.grafana.options import live_sources, second_model, transactions_registry_traces
from infra.grafana.panels import board, choice, curves, figure, row

UID = "emostream-engineer"


def engineer() -> Dashboard:
    """Make it, lag and age first."""
    found = board(
        "emostream: the pipeline",
        UID,
        "Lag and age first; then throughput against what the model servers can take.",
        since="now-1h",
    ).with_variable(choice("instance", "Consumer", "emostream_build_info"))
    for part in (
        _keeping_up,
        _model,
        second_model,
        _outcomes,
        _in_flight,
        _dead_letters,
        _group,
        _process,
        live_sources,
        transactions_registry_traces,
    ):
        found = part(found)
    return found


def _keeping_up(found: Dashboard) -> Dashboard:
    lag = f"emostream_lag_posts{{{OURS}}}"
    # Members that have just lost a partition may still show its lag for one scrape.
    by_partition = f"max by (topic, partition) ({lag})"
    settled = f"sum({rate('emostream_committed_posts_total')})"
    return row(
        found,
        "Does it keep up?",
        figure(
            "Posts waiting",
            "Records between what is settled and the end of the input topics.",
            "short",
            f"sum({by_partition})",
            warn=1_000,
            bad=10_000,
        ),
        figure(
            "Age of the news, 95 %",
            "From a record's timestamp to its event's acknowledgement.",
            "s",
            quantile(0.95, "emostream_event_age_seconds"),
            warn=60,
            bad=600,
        ),
        figure(
            "Time to catch up",
            "Posts waiting, divided by posts settled a second: at this rate, and if none came.",
            "s",
            f"sum({by_partition}) / {settled}",
            warn=300,
            bad=3_600,
        ),
        figure(
            "Ready consumers",
            "Those whose /readyz says 200.",
            "short",
            f"sum(emostream_ready{{{OURS}}})",
            bad=1,
            good_above=True,
        ),
        figure(
            "Model servers there",
            "1 while at least one takes prompts, for each consumer that sees one.",
            "short",
            f"sum(emostream_model_available{{{OURS}}})",
            bad=1,
            good_above=True,
        ),
        figure(
            "Dead letters, one hour",
            "Posts that became no event; `emostream dlq list` says why.",
            "short",
            f"sum(increase(emostream_dead_letters_total{{{OURS}}}[1h]))",
            warn=1,
            bad=100,
        ),
        curves(
            "Posts waiting by partition",
            "One that grows alone: a key with many posts, or a batch that can't be read.",
            "short",
            {"{{topic}} {{partition}}": by_partition},
            width=12,
        ),
        curves(
            "How old the news is",
            "From a record's timestamp to its event's acknowledgement; and the part of it here.",
            "s",
            {
                "age, half of them": quantile(0.5, "emostream_event_age_seconds"),
                "age, 95 %": quantile(0.95, "emostream_event_age_seconds"),
                "in this service, 95 %": quantile(0.95, "emostream_event_latency_seconds"),
            },
            width=12,
        ),
    )


def _model(found: Dashboard) -> Dashboard:
    limit = f"sum by (server) (emostream_model_concurrency_limit{{{OURS}}})"
    seconds = f"sum by (server) ({rate('emostream_model_request_seconds_sum')})"
    count = f"sum by (server) ({rate('emostream_model_request_seconds_count')})"
    return row(
        found,
        "Throughput against the model's capacity",
        curves(
            "Posts a second",
            "Received, analysed, settled. Received above settled for long: it falls behind.",
            "short",
            {
                "received": f"sum({rate('emostream_posts_consumed_total')})",
                "events": f"sum({rate('emostream_events_total')})",
                "settled": f"sum({rate('emostream_committed_posts_total')})",
            },
        ),
        curves(
            "Prompts in flight, of the limit",
            "Mean number of prompts in flight (Little's law) as a share of the concurrency limit:"
            " near 1, the model server is the bottleneck; far below, look at Kafka.",
            "percentunit",
            {"{{server}}": f"{seconds} / {limit}"},
            top=1,
        ),
        curves(
            "Prompts a second, and capacity",
            "Capacity is the limit divided by the time of a prompt now. With little to do a prompt"
            " is quick, and the capacity shown is more than the server could hold.",
            "short",
            {
                "answered {{server}}": count,
                "capacity {{server}}": f"{limit} / ({seconds} / {count})",
            },
        ),
        curves(
            "Time of a prompt",
            "Queueing on the server included.",
            "s",
            {
                "half {{server}}": quantile(0.5, "emostream_model_request_seconds", "server"),
                "95 % {{server}}": quantile(0.95, "emostream_model_request_seconds", "server"),
            },
        ),
        curves(
            "Concurrency limit",
            "Adapted to the server's refusals: it falls where others use the server, too.",
            "short",
            {"{{server}} {{instance}}": f"emostream_model_concurrency_limit{{{OURS}}}"},
        ),
        curves(
            "Breakers",
            "0 closed: the server takes prompts. 1 half open: it is probed. 2 open.",
            "short",
            {"{{server}} {{instance}}": f"emostream_model_breaker_state{{{OURS}}}"},
            top=2,
        ),
    )


def _outcomes(found: Dashboard) -> Dashboard:
    prompts = f"sum({rate('emostream_prompts_total')})"
    analysed = f"sum({rate('emostream_analysed_posts_total')})"
    return row(
        found,
        "What comes of it",
        curves(
            "Requests by outcome",
            "Overloaded: 429. TimedOut, Unavailable: tried again. Refused: 4xx, by a rule of the"
            " server.",
            "short",
            {"{{outcome}}": f"sum by (outcome) ({rate('emostream_model_requests_total')})"},
        ),
        curves(
            "Unreadable answers",
            "Recovered by another wording, or given up. A model that drifts shows here first.",
            "short",
            {
                "{{task}} {{outcome}}": "sum by (task, outcome) ("
                f"{rate('emostream_unreadable_answers_total')})"
            },
        ),
        curves(
            "Answers by origin",
            "cache and shared cost no GPU time.",
            "short",
            {"{{origin}}": f"sum by (origin) ({rate('emostream_answers_total')})"},
        ),
        curves(
            "Prompts a post",
            "What a post costs; 3.2 with the defaults on the paper's data, before the cache.",
            "short",
            {"prompts a post": f"{prompts} / {analysed}"},
        ),
        curves(
            "Skipped",
            "Records that are no posts, by the rule that says so.",
            "short",
            {"{{rule}}": f"sum by (rule) ({rate('emostream_skipped_records_total')})"},
        ),
        curves(
            "Cache",
            "Answers that are remembered, and the memory that they take.",
            "bytes",
            {"{{instance}}": f"emostream_cache_bytes{{{OURS}}}"},
        ),
    )


def _in_flight(found: Dashboard) -> Dashboard:
    return row(
        found,
        "In flight",
        curves(
            "Posts in flight",
            "Received and not finished; at in_flight.max_posts fetching pauses.",
            "short",
            {"{{instance}}": f"emostream_in_flight_posts{{{OURS}}}"},
        ),
        curves(
            "Oldest in flight",
            "Growing without end while a model server is there: stuck.",
            "s",
            {"{{instance}}": f"emostream_oldest_in_flight_seconds{{{OURS}}}"},
        ),
        curves(
            "Fetching paused",
            "records, bytes: enough is in flight, the model is slower than Kafka. unavailable: no"
            " model server. bad_batch: see the runbook.",
            "short",
            {"{{reason}}": f"sum by (reason) (emostream_paused{{{OURS}}})"},
        ),
        curves(
            "Bytes in flight",
            "Of the records, as they came.",
            "bytes",
            {"{{instance}}": f"emostream_in_flight_bytes{{{OURS}}}"},
        ),
        curves(
            "Batches by what closed them",
            "Mostly wait under load: they do not fill, fetching is slow.",
            "short",
            {"{{closed_by}}": f"sum by (closed_by) ({rate('emostream_batches_total')})"},
        ),
        curves(
            "Time of a batch",
            "From its close to the acknowledgement of all that came of it.",
            "s",
            {
                "half": quantile(0.5, "emostream_batch_seconds"),
                "95 %": quantile(0.95, "emostream_batch_seconds"),
            },
        ),
    )


def _dead_letters(found: Dashboard) -> Dashboard:
    return row(
        found,
        "Dead letters and losses",
        curves(
            "Dead letters by class",
            "Stage decode is the producers' business; Unanswered and FailedAlone are between the"
            " post and the model.",
            "short",
            {
                "{{stage}} {{class}}": "sum by (stage, class) ("
                f"increase(emostream_dead_letters_total{{{OURS}}}[$__rate_interval])) > 0"
                f" or sum by (stage) (0 * emostream_dead_letters_total{{{OURS}}})"
            },
            width=12,
        ),
        curves(
            "Lost, or done again",
            "Taken away by retention: lost. Abandoned: their new owner does them again.",
            "short",
            {
                "taken away": "sum(increase("
                f"emostream_taken_away_posts_total{{{OURS}}}[$__rate_interval]))",
                "abandoned": "sum(increase("
                f"emostream_abandoned_posts_total{{{OURS}}}[$__rate_interval]))",
                "stops at a bad batch": "sum(increase("
                f"emostream_bad_batches_total{{{OURS}}}[$__rate_interval]))",
            },
            width=12,
        ),
    )


def _group(found: Dashboard) -> Dashboard:
    return row(
        found,
        "The consumer group",
        curves(
            "Rebalances",
            "Assignments by the group. One for each deploy is right; one each minute is not.",
            "short",
            {
                "{{instance}}": "sum by (instance) ("
                f"increase(emostream_rebalances_total{{{OURS}}}[$__rate_interval]))"
            },
        ),
        curves(
            "Partitions",
            "Assigned to each member.",
            "short",
            {"{{instance}}": f"emostream_partitions{{{OURS}}}"},
        ),
        curves(
            "Commits that were given up",
            "fenced: the partitions moved, harmless. error: the next one carries its work.",
            "short",
            {
                "{{kind}}": "sum by (kind) ("
                f"increase(emostream_commit_failures_total{{{OURS}}}[$__rate_interval]))"
            },
        ),
    )


def _process(found: Dashboard) -> Dashboard:
    return row(
        found,
        "The processes",
        curves(
            "CPU",
            "Cores. A consumer runs on one: at 1 it is the bottleneck, and another one helps.",
            "short",
            {"{{instance}}": rate("process_cpu_seconds_total")},
        ),
        curves(
            "Memory",
            "Resident.",
            "bytes",
            {"{{instance}}": f"process_resident_memory_bytes{{{OURS}}}"},
        ),
        curves(
            "Up for",
            "Since the process was started; falls to 0 with each restart.",
            "s",
            {"{{instance}}": f"time() - process_start_time_seconds{{{OURS}}}"},
        ),
        curves(
            "asyncio tasks",
            "Growing without end: a leak.",
            "short",
            {"{{instance}}": f"emostream_asyncio_tasks{{{OURS}}}"},
        ),
        curves(
            "Open files",
            "Connections among them.",
            "short",
            {"{{instance}}": f"process_open_fds{{{OURS}}}"},
        ),
        curves(
            "Consumers replaced",
            "Times the watchdog replaced a Kafka client that delivered nothing.",
            "short",
            {
                "{{instance}}": "sum by (instance) ("
                f"increase(emostream_consumer_restarts_total{{{OURS}}}[$__rate_interval]))"
            },
        ),
    )
