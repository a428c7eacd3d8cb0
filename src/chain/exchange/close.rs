//! The end of a request: the line, the record, the counts.

use http::uri::PathAndQuery;
use tokio::time::Instant;

use super::{Exchange, Told};
use crate::{
    answer::Ending,
    chain::origin::Origin,
    model::Money,
    requests::{CallerFacts, Entry, RouteFacts},
    telemetry::{
        access_log::Line,
        metrics::{
            busy::Counts,
            requests::{Labels, Request as Counted},
        },
        traces::Trace,
    },
};

impl Exchange {
    /// Ends it, once; without an ending where a page of the gateway's own was its answer.
    pub(super) fn close(&mut self, ending: Option<Ending>, now: Instant) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let trace = self.trace.take();
        let line = self.line(ending, trace.as_ref(), now);
        self.count(&line);
        self.worker.log().push(&line);
        self.record(&line, ending);
        if let Some(record) = trace.and_then(|trace| trace.into_record(&line)) {
            self.worker.traces().push(record);
        }
        self.connection.watch.end();
    }

    fn line(&self, ending: Option<Ending>, trace: Option<&Trace>, now: Instant) -> Line<'_> {
        let Told {
            method,
            path,
            route,
            route_uid: _,
            is_payable: _,
            caller,
            decided: _,
            status,
            code,
            shadow,
            reserved,
            price,
            more_units,
            more_price,
            bytes,
        } = &self.told;
        let caller = caller.as_deref();
        let charges = ending.is_some_and(Ending::charges);
        Line {
            time: self.arrival.now,
            request_id: self.arrival.request_id,
            trace_id: trace.and_then(Trace::sampled_id),
            client: self.peer(),
            outward_id: self.origin().and_then(Origin::request_id),
            method: method.as_str(),
            path: path.as_ref().map_or("", PathAndQuery::path),
            route: route.as_ref().map(|route| &route.name),
            customer: caller.map(|caller| &caller.customer.id),
            application: caller.and_then(|caller| caller.key.application.as_ref()),
            key_id: caller.map(|caller| &caller.key.id),
            plan: caller.and_then(|caller| caller.plan()).map(|plan| &plan.id),
            status: *status,
            code: *code,
            shadow: *shadow,
            ending: ending.map(Ending::name),
            charged: if charges { *reserved } else { 0 }.saturating_add(*more_units),
            credit: sum(price.filter(|_| charges), *more_price),
            bytes: *bytes,
            duration: now.saturating_duration_since(self.arrival.started),
        }
    }

    /// Keeps what explains it.
    fn record(&self, line: &Line<'_>, ending: Option<Ending>) {
        let (requests, told) = (self.worker.requests(), &self.told);
        let decided = told.decided.take();
        if !self.snapshot().retention.requests.is_zero() {
            let entry = Entry {
                id: line.request_id,
                at: line.time,
                method: Some(&told.method),
                route: told.route_uid,
                caller: told.caller.as_ref().map_or(0, |caller| caller.uid),
                status: line.status,
                code: line.code,
                shadow: line.shadow,
                ending,
                charged: line.charged,
                credit: line.credit,
                duration: line.duration,
                decided: &decided,
            };
            let route = || told.route.as_deref().map(RouteFacts::of);
            let caller = || told.caller.as_deref().map(CallerFacts::of);
            requests.push(&entry, route, caller);
        }
        requests.give_back(decided);
    }

    fn count(&self, line: &Line<'_>) {
        let labels = Labels {
            route: line.route.map_or("", |route| route),
            plan: line.plan.map_or("", |plan| plan),
            status: line.status,
            code: line.code.unwrap_or_default(),
            shadow: line.shadow.unwrap_or_default(),
            ending: line.ending.unwrap_or_default(),
        };
        let whole = line.duration;
        let undecided = || whole.saturating_sub(self.upstream);
        let gateway = self.gateway.unwrap_or_else(undecided);
        let (units, bytes) = (line.charged, line.bytes);
        self.worker.recorder().count(&labels, &Counted { units, bytes, gateway, whole });
        let busy = self.worker.busy();
        if busy.is_watched() {
            let refusals = u64::from(line.ending == Some(Ending::Refused.name()));
            busy.count(line.customer, Counts { requests: 1, refusals, units });
        }
    }
}

fn sum(first: Option<Money>, second: Option<Money>) -> Option<Money> {
    match (first, second) {
        // Both are of the route's price.
        (Some(one), Some(other)) => {
            Some(Money { nanos: one.nanos.saturating_add(other.nanos), ..one })
        }
        (one, other) => one.or(other),
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let ending = self.progress.ending();
        self.finish(ending);
    }
}
