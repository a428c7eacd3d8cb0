//! All that is counted, gathered for one look at it.
//!
//! Names are `faregate_<noun>_<unit>`; the process has those that every exporter gives it. What has
//! no value yet has no series, except where zero is what an alarm compares with.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use super::{
    Worker, certificates,
    family::{Family, Labels, Series, labels},
    handshakes, leases, payments, process, upstreams,
};
use crate::{
    gateway::Gateway,
    keeper,
    telemetry::{figures::Distribution, traces::Counters},
};

/// Gathers everything.
pub fn gather(gateway: &Gateway, keeper: &keeper::Reading, is_healthy: bool) -> Vec<Family> {
    let workers = gateway.metrics().workers();
    let mut families = requests(&workers);
    let lines_dropped = gateway.metrics().lines_dropped();
    families.extend(connections(&workers, gateway, lines_dropped));
    families.extend(handshakes::families(&workers));
    families.push(certificates::family(&gateway.snapshot()));
    families.extend(memory(gateway));
    families.extend(books(&workers, keeper));
    families.extend(store(keeper, is_healthy));
    let post = gateway.ledger().post().map(|post| &**post);
    families.extend(leases::families(gateway.metrics().leases(), post));
    families.extend(payments::families(gateway.metrics().payments()));
    families.extend(upstreams::families(gateway.metrics().endpoints()));
    families.extend(configuration(gateway));
    families.extend(notifications(gateway));
    families.push(spans(gateway));
    families.push(Family::count(
        "faregate_request_records_dropped",
        "Requests that cannot be explained, because their records could not be written fast enough \
         or at all.",
        gateway.metrics().records_dropped(),
    ));
    families.extend(process::read().families());
    families
}

#[derive(Default)]
struct Requests {
    ended: BTreeMap<[String; 5], u64>,
    shadow: BTreeMap<[String; 3], u64>,
    units: BTreeMap<[String; 2], u64>,
    bytes: BTreeMap<String, u64>,
    gateway: BTreeMap<String, Distribution>,
    whole: BTreeMap<String, Distribution>,
}

impl Requests {
    fn of(workers: &[std::sync::Arc<Worker>]) -> Self {
        let mut sums = Self::default();
        let Self { ended, shadow, units, bytes, gateway, whole } = &mut sums;
        for worker in workers {
            let mut add_series = |series: &super::requests::Series| {
                let of = series.labels();
                let requests = series.requests.get();
                let (route, plan) = (of.route.to_owned(), of.plan.to_owned());
                let (status, code) = (of.status.to_string(), of.code.to_owned());
                let key = [route.clone(), plan.clone(), status, code, of.ending.to_owned()];
                *ended.entry(key).or_default() += requests;
                if !of.shadow.is_empty() {
                    let key = [route.clone(), plan.clone(), of.shadow.to_owned()];
                    *shadow.entry(key).or_default() += requests;
                }
                *bytes.entry(route.clone()).or_default() += series.bytes.get();
                let charged = series.units.get();
                if charged > 0 {
                    *units.entry([route, plan]).or_default() += charged;
                }
            };
            let add_times = |times: &super::requests::RouteTimes| {
                times.gateway.add_to(gateway.entry(times.route.to_string()).or_default());
                times.whole.add_to(whole.entry(times.route.to_string()).or_default());
            };
            worker.requests.read(&mut add_series, add_times);
        }
        sums
    }
}

fn requests(workers: &[std::sync::Arc<Worker>]) -> Vec<Family> {
    let Requests { ended, shadow, units, bytes, gateway, whole } = Requests::of(workers);
    vec![
        Family {
            name: "faregate_requests",
            help: "Requests that have ended. status 0: no answer was given; ending empty: a page of \
                   the gateway's own; code empty: not refused.",
            series: counters(["route", "plan", "status", "code", "ending"], ended),
        },
        Family {
            name: "faregate_overlooked_refusals",
            help: "Requests that were forwarded although they would be refused, because refusals \
                   are not enforced; code is the one they would be refused with.",
            series: counters(["route", "plan", "code"], shadow),
        },
        Family {
            name: "faregate_units_charged",
            help: "Units charged.",
            series: counters(["route", "plan"], units),
        },
        Family {
            name: "faregate_answer_body_bytes",
            help: "Bytes of the answers' bodies.",
            series: counters(["route"], bytes.into_iter().map(|(route, n)| ([route], n))),
        },
        Family {
            name: "faregate_gateway_duration_seconds",
            help: "Time of a request until the head of its answer, less the time at the upstream: \
                   what the gateway itself took.",
            series: histograms("route", gateway),
        },
        Family {
            name: "faregate_request_duration_seconds",
            help: "Time of a request until the last byte of its answer is handed over.",
            series: histograms("route", whole),
        },
    ]
}

fn connections(
    workers: &[std::sync::Arc<Worker>],
    gateway: &Gateway,
    lines_dropped: u64,
) -> Vec<Family> {
    let sum = |of: fn(&super::worker::Connections) -> i64| -> f64 {
        workers.iter().map(|worker| of(&worker.connections)).sum::<i64>() as f64
    };
    let total = |of: fn(&super::worker::Connections) -> u64| -> u64 {
        workers.iter().map(|worker| of(&worker.connections)).sum()
    };
    let states = vec![
        (labels([("state", "head")]), sum(|of| of.head.get())),
        (labels([("state", "idle")]), sum(|of| of.idle.get())),
        (labels([("state", "request")]), sum(|of| of.request.get())),
    ];
    vec![
        Family {
            name: "faregate_connections",
            help: "Open client connections: head, waiting for a request's head or reading it; idle, \
                   between two requests; request, serving one.",
            series: Series::Gauges(states),
        },
        Family::gauge(
            "faregate_connections_max",
            "How many client connections may be open: server.limits.connections.",
            gateway.connections_max() as f64,
        ),
        Family::count(
            "faregate_connections_accepted",
            "Client connections taken.",
            total(|of| of.accepted.get()),
        ),
        Family::count(
            "faregate_connections_refused",
            "Client connections closed at once because their address had as many as \
             server.limits.connections_per_address.",
            gateway.metrics().refused_connections(),
        ),
        Family::count(
            "faregate_unparsable_requests",
            "Heads that are not HTTP, and PROXY headers that are none: the connection closed.",
            total(|of| of.unparsable.get()),
        ),
        Family::count(
            "faregate_access_log_lines_dropped",
            "Access-log lines that were dropped because the log could not be written fast enough.",
            lines_dropped,
        ),
    ]
}

fn memory(gateway: &Gateway) -> [Family; 3] {
    let memory = gateway.memory();
    [
        Family::gauge(
            "faregate_memory_used_bytes",
            "Memory that is compared with the ceiling; 0 without one.",
            memory.used() as f64,
        ),
        Family::gauge(
            "faregate_memory_ceiling_bytes",
            "Memory above which work is turned away; 0 for no such ceiling.",
            memory.ceiling() as f64,
        ),
        Family::gauge(
            "faregate_memory_pressure",
            "0: memory suffices; 1: unused connections are closed, new ones wait; 2: requests without \
             a key are refused too; 3: all are.",
            f64::from(memory.degree()),
        ),
    ]
}

fn books(workers: &[std::sync::Arc<Worker>], keeper: &keeper::Reading) -> Vec<Family> {
    let total = |of: fn(&crate::journal::Figures) -> u64| -> u64 {
        workers.iter().map(|worker| of(&worker.books.journal)).sum()
    };
    let open: i64 = workers.iter().map(|worker| worker.books.open.get()).sum();
    let written = total(|of| of.bytes.get());
    let mut syncs = Distribution::default();
    workers.iter().for_each(|worker| worker.books.journal.syncs.add_to(&mut syncs));
    vec![
        Family::gauge(
            "faregate_reservations_open",
            "Reservations of requests in flight, or of such as could not be settled yet.",
            open as f64,
        ),
        Family::count("faregate_journal_bytes", "Bytes written to the journal.", written),
        Family::count(
            "faregate_journal_appends",
            "Appends to the journal, each one write.",
            total(|of| of.appends.get()),
        ),
        Family::count(
            "faregate_journal_append_failures",
            "Appends that failed; their requests were refused, or settle later.",
            total(|of| of.failures.get()),
        ),
        Family::count(
            "faregate_journal_segments_opened",
            "Segments of the journal begun.",
            total(|of| of.segments.get()),
        ),
        Family {
            name: "faregate_journal_sync_duration_seconds",
            help: "Time of a sync of the journal to the disk, which no request waits for.",
            series: Series::Histograms(vec![(labels([]), syncs)]),
        },
        Family::count(
            "faregate_journal_sync_failures",
            "Syncs of the journal that failed.",
            total(|of| of.sync_failures.get()),
        ),
        Family::gauge(
            "faregate_journal_unfolded_bytes",
            "Bytes of the journal that are not yet in the store.",
            written.saturating_sub(keeper.folded_bytes) as f64,
        ),
        Family::gauge(
            "faregate_journal_fold_lag_seconds",
            "Time since the store last had everything that was in the journal.",
            keeper.since_fold.as_secs_f64(),
        ),
    ]
}

fn store(keeper: &keeper::Reading, is_healthy: bool) -> Vec<Family> {
    let by_kind = |folds: u64, changes: u64| {
        Series::Counters(vec![
            (labels([("kind", "change")]), changes),
            (labels([("kind", "fold")]), folds),
        ])
    };
    let times = vec![
        (labels([("kind", "change")]), keeper.changes.clone()),
        (labels([("kind", "fold")]), keeper.folds.clone()),
    ];
    vec![
        Family {
            name: "faregate_store_commit_duration_seconds",
            help: "Time of a transaction of the store with its sync: fold, usage out of the journal; \
                   change, of customers, keys and so on.",
            series: Series::Histograms(times),
        },
        Family {
            name: "faregate_store_commit_failures",
            help: "Transactions of the store that failed.",
            series: by_kind(keeper.fold_failures, keeper.change_failures),
        },
        Family::gauge(
            "faregate_store_changes_waiting",
            "Changes that wait for the store.",
            keeper.waiting as f64,
        ),
        Family::gauge(
            "faregate_store_up",
            "1 when the last attempt to write usage to the store succeeded.",
            f64::from(u8::from(is_healthy)),
        ),
    ]
}

fn configuration(gateway: &Gateway) -> Vec<Family> {
    let metrics = gateway.metrics();
    let snapshot = gateway.snapshot();
    let reloads = vec![
        (labels([("result", "in_force")]), metrics.reloads.load(Ordering::Relaxed)),
        (labels([("result", "refused")]), metrics.reloads_refused.load(Ordering::Relaxed)),
    ];
    let counted = |declared: usize, live: usize| {
        Series::Gauges(vec![
            (labels([("where", "file")]), declared as f64),
            (labels([("where", "store")]), live as f64),
        ])
    };
    let (declared, live) = (&snapshot.declared, gateway.live());
    vec![
        Family {
            name: "faregate_build",
            help: "The program that runs.",
            series: Series::Info(labels([("version", env!("CARGO_PKG_VERSION"))])),
        },
        Family {
            name: "faregate_reloads",
            help: "Attempts to put a configuration in force since the start.",
            series: Series::Counters(reloads),
        },
        Family::gauge(
            "faregate_last_reload_successful",
            "0 when the last attempt was refused, so that another configuration is in force than the \
             file has; else 1.",
            f64::from(u8::from(metrics.is_last_reload_in_force())),
        ),
        Family {
            name: "faregate_customers",
            help: "Customers, by where they are kept.",
            series: counted(declared.customer_count(), live.customer_count()),
        },
        Family {
            name: "faregate_keys",
            help: "API keys, by where they are kept.",
            series: counted(declared.key_count(), live.key_count()),
        },
        Family::gauge(
            "faregate_enforcing",
            "1 when who may not be served is refused, 0 when he is forwarded all the same.",
            f64::from(u8::from(gateway.enforcing())),
        ),
        Family::gauge(
            "faregate_clock_ahead_seconds",
            "How far the machine's clock is ahead of the time that is decided by, while it is not \
             believed; else 0.",
            gateway.clock().doubted_seconds() as f64,
        ),
    ]
}

fn notifications(gateway: &Gateway) -> Vec<Family> {
    let metrics = gateway.metrics();
    let events = metrics.events().into_iter().map(|(kind, n)| ([kind], n));
    let deliveries = metrics.deliveries().into_iter().map(|(result, n)| ([result.to_owned()], n));
    vec![
        Family {
            name: "faregate_events",
            help: "Events put into the outbox since the start, such as a quota's threshold.",
            series: counters(["type"], events),
        },
        Family {
            name: "faregate_webhook_attempts",
            help: "Attempts to deliver an event: delivered; failed, to be tried again; given_up.",
            series: counters(["result"], deliveries),
        },
        Family::gauge(
            "faregate_events_waiting",
            "Events that wait to be delivered: counted every 15 s, new ones added at once.",
            gateway.notifications().pending() as f64,
        ),
    ]
}

fn spans(gateway: &Gateway) -> Family {
    let Counters { sent, refused, dropped } = &**gateway.span_counters();
    let series = [("dropped", &**dropped), ("refused", refused), ("sent", sent)]
        .map(|(result, n)| (labels([("result", result)]), n.load(Ordering::Relaxed)));
    Family {
        name: "faregate_spans",
        help: "Spans of sampled requests: sent, the collector took them; refused, it did not; \
               dropped, it was too slow or could not be reached.",
        series: Series::Counters(series.into()),
    }
}

fn counters<const N: usize>(
    names: [&'static str; N],
    sums: impl IntoIterator<Item = ([String; N], u64)>,
) -> Series {
    let one = |(values, count): ([String; N], u64)| {
        (names.into_iter().zip(values).collect::<Labels>(), count)
    };
    Series::Counters(sums.into_iter().map(one).collect())
}

fn histograms(name: &'static str, sums: BTreeMap<String, Distribution>) -> Series {
    let one = |(value, times)| (vec![(name, value)], times);
    Series::Histograms(sums.into_iter().map(one).collect())
}
