//! A running gateway at one moment, for who watches it: `GET /v1/live`, which `faregate top` asks.

mod document;
mod look;
mod sums;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

pub use self::document::{
    Books, Busiest, Connections, Counts, Customer, Document, Endpoint, EndpointState, Histogram,
    Outcome, Process, Quota, Quotas, Route,
};
use self::{look::Look, sums::Sums};
use crate::{
    gateway::Gateway,
    keeper,
    telemetry::metrics::{Worker, busy, process, worker},
};

/// What is kept from one document to the next.
#[derive(Debug, Default)]
pub struct Live(Mutex<Look>);

impl Live {
    /// Makes the document, and lets the workers count by customer for a while. It may take some tens of
    /// milliseconds: not for a thread that runs tasks. Who asks at the same time waits.
    pub fn document(
        &self,
        gateway: &Gateway,
        started_at: Timestamp,
        keeper: &keeper::Reading,
        is_healthy: bool,
    ) -> Document {
        let mut look = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = gateway.metrics();
        let workers = metrics.workers();
        let audience = metrics.audience();
        audience.watch();
        let busiest = audience.busiest(workers.iter().map(|worker| &*worker.busy));
        let now = gateway.clock().now();
        let busy_ids = busiest.customers.iter().map(|(id, _)| id);
        let quotas = look.quotas(gateway, busy_ids, now);
        let Sums { requests, units, gateway: own, whole, routes } = Sums::of(&workers);
        let open = workers.iter().map(|worker| worker.books.open.get()).sum();
        let process::Process { cpu_seconds, resident_bytes, open_fds, max_fds, .. } =
            process::read();
        Document {
            time: now,
            started_at,
            uptime_seconds: audience.age().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            enforcing: gateway.enforcing(),
            requests,
            units,
            gateway_duration: own,
            request_duration: whole,
            routes,
            connections: connections(gateway, &workers),
            reservations_open: open,
            books: books(&workers, keeper, is_healthy),
            upstreams: sums::endpoints(metrics.endpoints()),
            process: Process { cpu_seconds, resident_bytes, open_fds, max_fds },
            busiest: told(busiest),
            quotas: Quotas { items: quotas },
        }
    }
}

fn connections(gateway: &Gateway, workers: &[Arc<Worker>]) -> Connections {
    let sum = |of: fn(&worker::Connections) -> i64| -> i64 {
        workers.iter().map(|worker| of(&worker.connections)).sum()
    };
    let limit = gateway.snapshot().server.limits.connections;
    Connections {
        accepted: workers.iter().map(|worker| worker.connections.accepted.get()).sum(),
        head: sum(|of| of.head.get()),
        idle: sum(|of| of.idle.get()),
        request: sum(|of| of.request.get()),
        limit: u64::try_from(limit).unwrap_or(u64::MAX),
    }
}

fn books(workers: &[Arc<Worker>], keeper: &keeper::Reading, is_healthy: bool) -> Books {
    let written: u64 = workers.iter().map(|worker| worker.books.journal.bytes.get()).sum();
    Books {
        unfolded_bytes: written.saturating_sub(keeper.folded_bytes),
        fold_lag_seconds: keeper.since_fold.as_secs_f64(),
        store_up: is_healthy,
    }
}

fn told(busiest: busy::Busiest) -> Busiest {
    let busy::Busiest { over, mut customers, others, unknown } = busiest;
    let counts = |counts: busy::Counts| {
        let busy::Counts { requests, refusals, units } = counts;
        Counts { requests, refusals, units }
    };
    customers.sort_unstable_by(|(a, left), (b, right)| {
        right.requests.cmp(&left.requests).then_with(|| a.cmp(b))
    });
    let customers = customers.into_iter().map(|(customer, counts)| {
        let busy::Counts { requests, refusals, units } = counts;
        Customer { customer: customer.to_string(), requests, refusals, units }
    });
    Busiest {
        seconds: over.as_secs_f64(),
        customers: customers.collect(),
        others: counts(others),
        unknown: counts(unknown),
    }
}
