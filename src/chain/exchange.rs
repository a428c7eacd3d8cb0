//! One request from its head to its end: what is noted on the way, and the line that tells it.

use std::{
    cell::{Cell, OnceCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Request, StatusCode};
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    answer::{Code, Ending, headers::request_id_value, problem},
    chain::{
        route::Routed,
        target::{Host, Target},
    },
    guesses::Guesses,
    progress::{Clocks, Progress},
    roster::{Caller, Lookup},
    snapshot::Snapshot,
    telemetry::{
        access_log::Line,
        metrics::{
            busy::Counts,
            requests::{Labels, Request as Counted},
        },
        traces::Trace,
    },
    upstream::pool::Pool,
    worker::{Connection, Worker, books::Books},
};

/// One request and all that is told about it.
#[derive(Debug)]
pub struct Exchange {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    progress: Rc<Progress>,
    snapshot: Arc<Snapshot>,
    now: Timestamp,
    started: Instant,
    request_id: Uuid,
    /// Scheme and authority under which the caller reached us.
    base_url: OnceCell<String>,
    host: Option<Host>,
    /// Written once: the upstream, the caller and the log are told it.
    request_id_value: OnceCell<HeaderValue>,
    /// The time at the upstream, from the wait for a connection to the head of its answer.
    upstream: Cell<Duration>,
    /// The time until the answer's head was made, less that.
    gateway: Cell<Option<Duration>>,
    caller: Option<Arc<Caller>>,
    /// `None` where nothing is traced, and once the line is written.
    trace: Option<Trace>,
    /// `None` once the line is written.
    line: Option<Box<Line>>,
}

impl Exchange {
    /// Begins with a head that has just come.
    pub fn begin<B>(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        request: &Request<B>,
        request_id: Uuid,
    ) -> Self {
        let snapshot = worker.gateway().snapshot();
        let now = worker.gateway().clock().now();
        let limits = &snapshot.server.limits;
        let started = Instant::now();
        let progress = Rc::new(Progress::new(Clocks {
            total: limits.request_timeout.map(|timeout| started + timeout),
            idle: limits.idle_timeout,
            response: limits.idle_timeout,
            upstream_idle: limits.idle_timeout,
        }));
        connection.watch.begin(Rc::clone(&progress));
        let trace = snapshot.traces.as_deref().map(|traces| {
            let span_id = || worker.span_id();
            Trace::begin(traces, request.headers(), request.version(), request_id, span_id)
        });
        let line = Line {
            time: now,
            request_id,
            trace_id: trace.as_ref().and_then(Trace::sampled_id),
            client: connection.peer.ip(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            route: None,
            customer: None,
            application: None,
            key_id: None,
            plan: None,
            status: 0,
            code: None,
            shadow: None,
            ending: None,
            charged: 0,
            bytes: 0,
            duration_ms: 0.0,
        };
        Self {
            worker: Rc::clone(worker),
            connection: Rc::clone(connection),
            progress,
            base_url: OnceCell::new(),
            host: None,
            request_id_value: OnceCell::new(),
            snapshot,
            now,
            started,
            request_id,
            upstream: Cell::new(Duration::ZERO),
            gateway: Cell::new(None),
            caller: None,
            trace,
            line: Some(Box::new(line)),
        }
    }

    /// Notes the target in its normal form.
    pub fn note_target(&mut self, target: &Target) {
        if let Some(line) = self.line.as_mut().filter(|line| line.path != target.path()) {
            line.path = target.path().to_owned();
        }
        self.host = target.host().cloned();
        if let (Some(trace), Some(host)) = (&mut self.trace, target.host()) {
            trace.note_host(|| host.authority().to_owned());
        }
    }

    /// Notes the route, and sets the clocks that it and its upstream give.
    pub fn note_route(&mut self, routed: &Routed) {
        let route = routed.route();
        self.progress.set_clocks(Clocks {
            total: route.request_timeout.map(|timeout| self.started + timeout),
            idle: self.snapshot.server.limits.idle_timeout,
            response: route.upstream.response_timeout,
            upstream_idle: route.upstream.idle_timeout,
        });
        if let Some(line) = &mut self.line {
            line.route = Some(Arc::clone(&route.name));
        }
        if let Some(trace) = &mut self.trace {
            trace.note_route(route);
        }
    }

    /// Notes who calls, if that is known.
    pub fn note_caller(&mut self, caller: Option<&Arc<Caller>>) {
        let Some(caller) = caller else { return };
        self.caller = Some(Arc::clone(caller));
        if let Some(line) = &mut self.line {
            line.customer = Some(Arc::clone(&caller.customer.id));
            line.application = caller.key.application.clone();
            line.key_id = Some(Arc::clone(&caller.key.id));
            line.plan = caller.plan().map(|plan| Arc::clone(&plan.id));
        }
    }

    /// Notes the units that are taken for it; its ending decides whether they are charged.
    pub fn note_reserved(&mut self, cost: u64) {
        if let Some(line) = &mut self.line {
            line.charged = cost;
        }
    }

    /// Notes the status that the caller gets.
    pub fn note_head(&mut self, status: StatusCode) {
        if let Some(line) = &mut self.line {
            line.status = status.as_u16();
        }
    }

    /// Notes the code of a refusal.
    pub fn note_code(&mut self, code: Code) {
        if let Some(line) = &mut self.line {
            line.code = Some(code.name());
        }
    }

    /// Notes the code of a refusal that is overlooked, if there is one.
    pub fn note_shadow(&mut self, code: Option<Code>) {
        if let (Some(line), Some(code)) = (&mut self.line, code) {
            line.shadow = Some(code.name());
        }
    }

    /// Notes that it goes up now: a connection is looked for.
    pub fn note_sending(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.note_sending(self.started);
        }
    }

    /// Notes how long the upstream took, and the head of its answer or why none can be passed on.
    pub fn note_answered(&mut self, took: Duration, answer: Result<StatusCode, Code>) {
        self.upstream.set(took);
        if let Some(trace) = &mut self.trace {
            trace.note_answered(self.started, answer);
        }
    }

    /// Notes that all is decided: what comes now waits for the caller.
    pub fn note_decided(&self) {
        let took = self.started.elapsed().saturating_sub(self.upstream.get());
        self.gateway.set(Some(took));
    }

    /// Notes bytes of the answer's body.
    pub fn note_sent(&mut self, bytes: usize) {
        if let Some(line) = &mut self.line {
            line.bytes = line.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// Notes that something came from the upstream.
    pub fn moved(&self) {
        self.connection.watch.moved();
    }

    /// Ends it, once: the line is written and the connection may take its next request.
    pub fn finish(&mut self, ending: Ending) {
        self.close(Some(ending));
    }

    /// Ends a request that the gateway answered with a page of its own.
    pub fn finish_own_page(&mut self) {
        self.close(None);
    }

    /// Gives how far it got.
    pub fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// Gives the request's id.
    pub fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// Gives its place in a trace.
    pub fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Gives the worker's unused upstream connections.
    pub fn pool(&self) -> &Pool {
        self.worker.pool()
    }

    /// Gives the request's id as a field's value.
    pub fn request_id_value(&self) -> HeaderValue {
        self.request_id_value.get_or_init(|| request_id_value(self.request_id)).clone()
    }

    /// Gives what finding its caller takes.
    pub fn lookup(&self) -> Lookup<'_> {
        self.worker.gateway().lookup(&self.snapshot, self.now)
    }

    /// Gives the snapshot that decides about it.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Tells whether the gateway refuses at all, or forwards who may not be served all the same.
    pub fn enforcing(&self) -> bool {
        self.worker.gateway().enforcing()
    }

    /// Gives the decision time: read once, so that all checks agree.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Gives the client's address.
    pub fn peer(&self) -> IpAddr {
        self.connection.peer.ip()
    }

    /// Gives scheme and authority under which the caller reached us; empty when it said none.
    pub fn base_url(&self) -> &str {
        self.base_url.get_or_init(|| match (&self.snapshot.server.public_url, &self.host) {
            (Some(url), _) => url.to_string(),
            (None, Some(host)) => format!("http://{}", host.authority()),
            (None, None) => String::new(),
        })
    }

    /// Gives the worker's books.
    pub fn books(&self) -> &Rc<Books> {
        self.worker.books()
    }

    /// Gives the failed keys of all addresses.
    pub fn guesses(&self) -> &Guesses {
        self.worker.gateway().guesses()
    }

    /// Gives what a refusal says beside its own reason.
    pub fn context(&self) -> problem::Context<'_> {
        let server = &self.snapshot.server;
        let plan = self.caller.as_ref().and_then(|caller| caller.plan());
        // Who holds no plan is shown where one can be bought.
        let on_sale = || self.snapshot.plans.iter().filter(|plan| plan.on_sale);
        let url = plan.and_then(|plan| plan.upgrade_url.as_deref());
        problem::Context {
            request_id: self.request_id,
            now: self.now,
            base_url: self.base_url(),
            prefix: &server.reserved_prefix,
            realm: &self.snapshot.realm,
            plan: plan.map(|plan| &*plan.id),
            upgrade_url: url.or_else(|| on_sale().find_map(|plan| plan.upgrade_url.as_deref())),
            status_by_code: &self.snapshot.status_by_code,
        }
    }

    /// Gives the client's connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn close(&mut self, ending: Option<Ending>) {
        let Some(mut line) = self.line.take() else { return };
        if ending.is_none_or(|ending| !ending.charges()) {
            line.charged = 0;
        }
        line.ending = ending.map(Ending::name);
        let whole = self.started.elapsed();
        // In whole microseconds: more digits would only seem exact.
        line.duration_ms = (whole.as_secs_f64() * 1e6).round() / 1e3;
        self.count(&line, whole);
        let record = self.trace.take().and_then(|trace| trace.into_record(&line, self.started));
        if let Some(record) = record {
            self.worker.traces().push(record);
        }
        self.worker.log().push(*line);
        self.connection.watch.end();
    }

    fn count(&self, line: &Line, whole: Duration) {
        let labels = Labels {
            route: line.route.as_deref().unwrap_or_default(),
            plan: line.plan.as_deref().unwrap_or_default(),
            status: line.status,
            code: line.code.unwrap_or_default(),
            shadow: line.shadow.unwrap_or_default(),
            ending: line.ending.unwrap_or_default(),
        };
        let undecided = || whole.saturating_sub(self.upstream.get());
        let gateway = self.gateway.get().unwrap_or_else(undecided);
        let (units, bytes) = (line.charged, line.bytes);
        self.worker.recorder().count(&labels, &Counted { units, bytes, gateway, whole });
        let busy = self.worker.busy();
        if busy.is_watched() {
            let refusals = u64::from(line.ending == Some(Ending::Refused.name()));
            busy.count(line.customer.as_ref(), Counts { requests: 1, refusals, units });
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let ending = self.progress.ending();
        self.finish(ending);
    }
}
