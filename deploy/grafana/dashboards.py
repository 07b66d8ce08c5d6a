#!/usr/bin/env python3
"""Writes the dashboards of deploy/grafana/dashboards.

usage: deploy/grafana/dashboards.py [FOLDER]

The committed JSON is what this writes; deploy/verify compares them, and runs every query against
a real Prometheus.
"""

import json
import pathlib
import sys

from panels import dashboard, panel, variable

I = "$__rate_interval"
HIT = 'result=~"hit|negative|stale"'
TARGET = 0.8


def rate(series, labels="", by="cache"):
    return f"sum by ({by}) (rate({series}{{{labels}}}[{I}]))"


def share(part, whole):
    return f"{part} / ({whole} > 0)"


def quantile(q, series, labels="", by=""):
    by = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({by}) (rate({series}_bucket{{{labels}}}[{I}])))"


def answers(labels, by):
    gets = "cacheaside_gets_total"

    def over(part, whole=""):
        return share(rate(gets, join(labels, part), by), rate(gets, join(labels, whole), by))

    legend = "{{%s}}" % by if by != "job" else "all"
    return [
        panel("Hit rate", "(hit + negative + stale) / all reads. Below 80 %, ask whether this is worth caching.",
              [(over(HIT), legend)], "percentunit", limit=TARGET, top=1),
        panel("L1", "Reads that the process's own memory answered / all reads.",
              [(over('tier="l1"'), legend)], "percentunit", top=1),
        panel("L2, of what L1 missed", "Reads that Redis answered / reads that L1 did not answer.",
              [(over('tier="l2"', 'tier!="l1"'), legend)], "percentunit", top=1),
        panel("Stale answers", "Expired values, served because the source is slow or fails. Never what was invalidated.",
              [(over('result="stale"'), legend)], "percentunit", limit="<0.05"),
    ]


def traffic(labels):
    return [
        panel("Answers a second", "By the tier that answered and the result.",
              [(rate("cacheaside_gets_total", labels, "tier, result"), "{{tier}} {{result}}")], "reqps", stack=True),
        panel("Time to answer, p99", "By tier; `none` is with the load, where the cache loads. Of L1's answers one in 256 is measured.",
              [(quantile(0.99, "cacheaside_get_duration_seconds", labels, "tier"), "{{tier}}")], "s"),
        panel("Time to answer, p50", "By tier.",
              [(quantile(0.5, "cacheaside_get_duration_seconds", labels, "tier"), "{{tier}}")], "s"),
    ]


def loads(labels):
    return [
        panel("Loads", "What the source was asked, by how it ended.",
              [(rate("cacheaside_loads_total", labels, "result"), "{{result}}")], "reqps", stack=True),
        panel("Loads, and reads that shared one", "Shared: reads of this process that another's flight answered.",
              [(f"sum(rate(cacheaside_loads_total{{{labels}}}[{I}]))", "loads"),
               (f"sum(rate(cacheaside_coalesced_total{{{labels}}}[{I}]))", "shared")], "reqps"),
        panel("Time of loads", "p50 and p99.",
              [(quantile(q, "cacheaside_load_duration_seconds", labels), f"p{round(q * 100)}") for q in (0.5, 0.99)], "s"),
        panel("Leases", "Granted, and how each ended. `superseded` is a stale fill that was refused.",
              [(rate("cacheaside_leases_total", labels, "outcome"), "{{outcome}}")], "ops"),
    ]


def capacity(labels):
    return [
        panel("L1 in use", "Bytes in L1 / bytes that it may hold.",
              [(share(f"sum by (cache) (cacheaside_l1_bytes{{{labels}}})", f"sum by (cache) (cacheaside_l1_capacity_bytes{{{labels}}})"), "{{cache}}")],
              "percentunit", top=1),
        panel("Let go by L1", "`size`: there was no room. `invalidated`: the database changed.",
              [(rate("cacheaside_l1_drops_total", labels, "cause"), "{{cause}}")], "ops", stack=True),
        panel("Breakers", "1 while the source of a cache is left alone.",
              [(f"max by (cache) (cacheaside_breaker_open{{{labels}}})", "{{cache}}")], limit="<0.5", top=1),
        panel("Records that cannot be read", "In Redis; each counts as a miss.",
              [(rate("cacheaside_codec_errors_total", labels), "{{cache}}")], "ops"),
    ]


LAG = [
    panel("Commit to L1", "From the commit at the source until a process had applied the change.",
          [(quantile(q, "cacheaside_invalidation_lag_seconds"), f"p{round(q * 100)}") for q in (0.5, 0.99)], "s", limit="<5"),
    panel("By stage, p99", "source_to_stream is the relay; stream_to_announced is the invalidator.",
          [(quantile(0.99, "cacheaside_invalidator_lag_seconds", "", "stage"), "{{stage}}")], "s"),
    panel("Invalidations applied", "By what they hit.",
          [(rate("cacheaside_invalidations_total", "", "kind"), "{{kind}}")], "ops"),
    panel("Second looks", "The inspector's: `violated` is a broken promise.",
          [(rate("cacheaside_inspections_total", "", "tier, outcome"), "{{tier}} {{outcome}}")], "ops"),
]

L2 = [
    panel("Steps of Redis", "By step and outcome.",
          [(rate("cacheaside_l2_commands_total", "", "command, outcome"), "{{command}} {{outcome}}")], "ops"),
    panel("Time of a step, p99", "By step.",
          [(quantile(0.99, "cacheaside_l2_command_duration_seconds", "", "command"), "{{command}}")], "s"),
    panel("Bytes of values", "Between processes and Redis.",
          [(rate("cacheaside_l2_bytes_total", "", "direction"), "{{direction}}")], "Bps"),
    panel("L1 trusted", "0 while a process hears no sign of life over the bus; its L1 answers nothing then.",
          [("min by (instance) (cacheaside_l1_trusted unless on (instance) cacheaside_invalidator_epoch)", "{{instance}}")], limit=0.5, top=1),
]

PROCESS = [
    panel("Processors", "Cores in use.", [(rate("process_cpu_seconds_total", "", "job, instance"), "{{job}} {{instance}}")]),
    panel("Memory", "Resident.", [("sum by (job, instance) (process_resident_memory_bytes)", "{{job}} {{instance}}")], "bytes"),
    panel("Open files", "Of those that there may be.",
          [("sum by (job, instance) (process_open_fds) / sum by (job, instance) (process_max_fds)", "{{job}} {{instance}}")],
          "percentunit"),
]

GRPC = [
    panel("Calls", "By code.", [(rate("grpc_server_handled_total", "", "grpc_code"), "{{grpc_code}}")], "reqps", stack=True),
    panel("Time of a call, p99", "By method.",
          [(quantile(0.99, "grpc_server_handling_seconds", "", "grpc_method"), "{{grpc_method}}")], "s"),
    panel("Commands of Redis' protocol", "By command.",
          [(rate("cacheaside_resp_commands_total", "", "command"), "{{command}}")], "reqps", stack=True),
]


def equations(labels):
    def of(name, more=""):
        return f"sum by (cache) ({name}{{{join(labels, more)}}})"

    ended = 'outcome=~"filled|superseded|expired|released"'
    return [
        panel("Leases that are open", "granted - (filled + superseded + expired + released): those of loads that run. One that only grows is a loader that never comes back.",
              [(of("cacheaside_leases_total", 'outcome="granted"') + " - " + of("cacheaside_leases_total", ended), "{{cache}}")]),
        panel("Entries of L1, counted twice", "put - let go, beside those that are there. They drift apart only by what was put in the last moment.",
              [(of("cacheaside_puts_total", 'tier="l1"') + " - " + of("cacheaside_l1_drops_total"), "{{cache}}: put - let go"),
               (of("cacheaside_l1_entries"), "{{cache}}: there")]),
        panel("Loads not timed", "loads - timed loads: always 0.",
              [(of("cacheaside_loads_total") + " - " + of("cacheaside_load_duration_seconds_count"), "{{cache}}")]),
    ]


def join(*labels):
    return ", ".join(label for label in labels if label)


def fleet():
    rows = [
        ("Answers", answers("", "job")),
        ("Traffic", traffic("")),
        ("Hit rate by cache", [
            panel("Hit rate", "By cache; 80 % is the line.",
                  [(share(rate("cacheaside_gets_total", HIT), rate("cacheaside_gets_total")), "{{cache}}")], "percentunit", limit=TARGET, top=1),
            panel("Reads", "By cache.", [(rate("cacheaside_gets_total"), "{{cache}}")], "reqps", stack=True),
        ]),
        ("Loads and stampedes", loads("")),
        ("Changes", LAG),
        ("Capacity", capacity("")),
        ("Redis and the bus", L2),
        ("gRPC and RESP", GRPC),
        ("Processes", PROCESS),
    ]
    return dashboard("cacheaside-fleet", "cacheaside: fleet", "Does the cache earn its keep, and does it tell the truth?", rows, [])


def cache():
    labels = 'cache=~"$cache"'
    queue = [
        panel("Writes that wait", "In the queue of a write-behind cache; nothing for others.",
              [(f"max by (cache) (cacheaside_queue_waiting{{{labels}}})", "{{cache}}")]),
        panel("Age of the oldest", "What would be lost with the queue.",
              [(f"max by (cache) (cacheaside_queue_oldest_seconds{{{labels}}})", "{{cache}}")], "s", limit="<60"),
        panel("Put aside", "Writes that the source will never take.",
              [(f"sum by (cache) (cacheaside_queue_put_aside_total{{{labels}}})", "{{cache}}")]),
    ]
    refresh = [
        panel("Loaded ahead", "Refreshes by outcome.", [(rate("cacheaside_refreshes_total", labels, "outcome"), "{{outcome}}")], "ops"),
        panel("Written through", "By outcome.", [(rate("cacheaside_writes_total", labels, "outcome"), "{{outcome}}")], "ops"),
        panel("Hits held against the source", "Shadow compare; `wrong` is a change without an event.",
              [(rate("cacheaside_shadow_total", labels, "outcome"), "{{outcome}}")], "ops"),
        panel("Loads at once", "Turns that are open: they close when the source is slow.",
              [(f"sum by (cache) (cacheaside_load_turns{{{labels}}})", "{{cache}}")]),
    ]
    rows = [
        ("Answers", answers(labels, "cache")),
        ("Traffic", traffic(labels)),
        ("Loads and stampedes", loads(labels)),
        ("Capacity", capacity(labels)),
        ("Strategies", refresh),
        ("Write-behind", queue),
        ("Equations", equations(labels)),
    ]
    return dashboard("cacheaside-cache", "cacheaside: one cache", "One cache, or some of them, in full.", rows,
                     [variable("cache", "Cache", "cacheaside_gets_total")])


def invalidator():
    of = "cacheaside_invalidator_"
    state = [
        panel("Waiting", "Events that no instance has been given.", [(f"max({of}consumer_pending)", "waiting")], kind="stat"),
        panel("In hand", "Events that some instance works on.", [(f"max({of}ack_pending)", "in hand")], kind="stat"),
        panel("Late", "Events that wait for a part of Redis, or for the bus.", [(f"sum({of}late)", "late")], kind="stat"),
        panel("Last event", "How long ago. Silence is not health.", [(f"time() - max({of}last_event_timestamp_seconds)", "ago")], "s", "stat"),
        panel("Nines", "Second looks that held: 3 is 99.9 %.", [(f"min({of}inspector_nines)", "nines")], kind="stat"),
        panel("Epoch", "Each rise refuses all that was cached before.", [(f"max({of}epoch)", "epoch")], kind="stat"),
        panel("Paused", "1 while somebody has paused it.", [(f"max({of}paused)", "paused")], kind="stat", limit="<0.5"),
        panel("Cleared", "Times that unread events were dropped, and all was cleared.", [(f"sum({of}overruns_total)", "times")], kind="stat", limit="<0.5"),
    ]
    events = [
        panel("Events", "By what became of them.", [(rate(f"{of}events_total", "", "outcome"), "{{outcome}}")], "ops", stack=True),
        panel("By rule", "Events that each rule saw.", [(rate(f"{of}events_total", "", "rule"), "{{rule}}")], "ops", stack=True),
        panel("Keys of one event, p99", "Which rule fans out how far.", [(quantile(0.99, f"{of}keys_per_event", "", "rule"), "{{rule}}")]),
        panel("Dead letters", "Events that could not be read.", [(f"sum by (rule) ({of}dead_letters_total)", "{{rule}}")]),
    ]
    flow = [
        panel("Backlog", "Events that wait, and that are in hand.",
              [(f"max({of}consumer_pending)", "waiting"), (f"max({of}ack_pending)", "in hand"), (f"sum({of}late)", "late")]),
        panel("By stage, p99", "Where time goes between commit and announcement.",
              [(quantile(0.99, f"{of}lag_seconds", "", "stage"), "{{stage}}")], "s"),
        panel("Announced", "By whether Redis had it first.", [(rate("cacheaside_announcements_total", "", "l2"), "in Redis: {{l2}}")], "ops"),
        panel("Delivered again", "Each one after a restart, or because an answer was lost.",
              [(f"sum(rate({of}redelivered_total[{I}]))", "again")], "ops"),
    ]
    second = [
        panel("Second looks", "The inspector's, by tier and outcome.",
              [(rate("cacheaside_inspections_total", "", "tier, outcome"), "{{tier}} {{outcome}}")], "ops"),
        panel("Told by processes", "Violations in an L1.", [(f"sum({of}inspector_l1_violations_total)", "violations")]),
        panel("Not looked at", "Above the rate of the inspector.", [(f"sum(rate({of}inspector_not_sampled_total[{I}]))", "a second")], "ops"),
    ]
    capture = [
        panel("Instances that read", "1 is right; 0 is an alert.", [("sum(cacheaside_capture_active)", "active")], limit=1),
        panel("Written into the stream", "Events and transactions.",
              [(f"sum(rate(cacheaside_capture_events_total[{I}]))", "events"),
               (f"sum(rate(cacheaside_capture_transactions_total[{I}]))", "transactions")], "ops"),
        panel("Commit to stream", "Of the last transaction.", [("max(cacheaside_capture_lag_seconds)", "lag")], "s"),
        panel("Log that the database keeps", "For the capture.", [("max(cacheaside_capture_retained_bytes)", "kept")], "bytes"),
    ]
    rows = [
        ("State", state),
        ("Events", events),
        ("Flow", flow),
        ("Inspector", second),
        ("Capture", capture),
        ("Processes", PROCESS),
    ]
    return dashboard("cacheaside-invalidator", "cacheaside: invalidator", "From the database's log to every L1.", rows, [])


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "dashboards")
    for name, made in {"fleet": fleet(), "cache": cache(), "invalidator": invalidator()}.items():
        text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
