//! One request from its head to its end: what is noted on the way, and what is told of it then.

mod close;
mod outward;
mod paying;

use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, StatusCode, request::Parts, uri::PathAndQuery};
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use self::paying::Paying;
use crate::{
    answer::{Code, Denial, Ending, grpc, headers::request_id_value},
    chain::{
        arrival::Arrival,
        origin::Origin,
        right,
        route::Routed,
        target::{Host, Target},
    },
    clock::Clock,
    guesses::Guesses,
    model::{Money, Route},
    progress::{Clocks, Progress},
    requests::Trail,
    roster::{Caller, Lookup},
    snapshot::{Held, Snapshot, table::RouteTable},
    telemetry::traces::Trace,
    upstream::pool::Pool,
    worker::{Connection, Stop, Worker, books::Books},
};

/// One request and all that is told about it.
#[derive(Debug)]
pub struct Exchange {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    progress: Rc<Progress>,
    snapshot: Held,
    arrival: Arrival,
    host: Option<Host>,
    /// What a trusted proxy says of it; `None` where it came from nobody trusted.
    origin: Option<Box<Origin>>,
    /// Written once: the upstream, the caller and the log are told it.
    request_id_value: OnceCell<HeaderValue>,
    /// The time at the upstream, from the wait for a connection to the head of its answer.
    upstream: Duration,
    /// The time until the answer's head was made, less that.
    gateway: Option<Duration>,
    /// `None` where nothing is traced, and once it is over.
    trace: Option<Trace>,
    told: Told,
    /// The form in which it is a call of gRPC.
    grpc: Option<grpc::Form>,
    /// What is known of how it is paid for, or can be.
    paying: Paying,
    /// Until when its caller waits, if that is said.
    deadline: Option<Instant>,
    is_over: bool,
}

/// What is told of it at its end.
#[derive(Debug)]
struct Told {
    method: Method,
    /// In normal form, or as it came when it has none; `None` where there is no path.
    path: Option<PathAndQuery>,
    route: Option<Arc<Route>>,
    /// The route's number; 0 without one.
    route_uid: u64,
    /// It can be paid for as it is made.
    is_payable: bool,
    caller: Option<Arc<Caller>>,
    /// 0 while none is given.
    status: u16,
    code: Option<&'static str>,
    shadow: Option<&'static str>,
    /// By what it was decided who pays, as it is written; empty before that.
    decided: RefCell<Vec<u8>>,
    /// Units taken; the ending decides whether they are charged.
    reserved: u64,
    /// Money taken, likewise.
    price: Option<Money>,
    /// Units and money that a WebSocket was charged beyond its opening.
    more_units: u64,
    more_price: Option<Money>,
    /// Bytes of the answer's body.
    bytes: u64,
}

impl Exchange {
    /// Begins with a head that has just come.
    pub fn begin(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        head: &Parts,
        arrival: Arrival,
    ) -> Self {
        let held = worker.snapshot();
        let snapshot = held.snapshot();
        let limits = &snapshot.server.limits;
        let form = grpc::form(head);
        let deadline = form.and_then(|_| grpc::timeout(&head.headers));
        let deadline = deadline.map(|timeout| arrival.started + timeout);
        let total = limits.request_timeout.map(|timeout| arrival.started + timeout);
        let progress = Rc::new(Progress::new(Clocks {
            total: earlier(total, deadline),
            idle: limits.idle_timeout,
            response: limits.idle_timeout,
            upstream_idle: limits.idle_timeout,
        }));
        connection.watch.begin(Rc::clone(&progress));
        let trusted = &snapshot.server.trusted_proxies;
        // Where no proxy is trusted, nothing is looked at.
        let origin = (!trusted.is_empty())
            .then(|| Origin::read(&head.headers, connection.peer.ip(), trusted))
            .flatten()
            .map(Box::new);
        let trace = snapshot.traces.as_deref().map(|traces| {
            let span_id = || worker.span_id();
            Trace::begin(traces, &head.headers, head.version, arrival.request_id, span_id)
        });
        let told = Told {
            method: head.method.clone(),
            path: head.uri.path_and_query().cloned(),
            route: None,
            route_uid: 0,
            is_payable: false,
            caller: None,
            decided: RefCell::default(),
            status: 0,
            code: None,
            shadow: None,
            reserved: 0,
            price: None,
            more_units: 0,
            more_price: None,
            bytes: 0,
        };
        Self {
            worker: Rc::clone(worker),
            connection: Rc::clone(connection),
            progress,
            snapshot: held,
            arrival,
            host: None,
            origin,
            request_id_value: OnceCell::new(),
            upstream: Duration::ZERO,
            gateway: None,
            trace,
            told,
            grpc: form,
            paying: Paying::default(),
            deadline,
            is_over: false,
        }
    }

    /// Notes the target in its normal form.
    pub fn note_target(&mut self, target: &Target) {
        if self.told.path.as_ref().is_none_or(|path| path.path() != target.path()) {
            self.told.path = Some(target.path_and_query().clone());
        }
        self.host = target.host().cloned();
        if let (Some(trace), Some(host)) = (&mut self.trace, target.host()) {
            trace.note_host(|| host.authority().to_owned());
        }
    }

    /// Notes the route, and sets the clocks that it and its upstream give.
    ///
    /// What can be paid for as it is made is offered where it is refused for want of payment.
    pub fn note_route(&mut self, routed: &Routed, is_payable: bool) {
        let route = routed.route();
        let total = route.request_timeout.map(|timeout| self.arrival.started + timeout);
        self.progress.set_clocks(Clocks {
            total: earlier(total, self.deadline),
            idle: self.snapshot().server.limits.idle_timeout,
            response: route.upstream.response_timeout,
            upstream_idle: route.upstream.idle_timeout,
        });
        self.told.is_payable = is_payable;
        self.told.route = Some(Arc::clone(route));
        self.told.route_uid = routed.entry().uid;
        if let Some(trace) = &mut self.trace {
            trace.note_route(route);
        }
    }

    /// Notes who calls, if that is known.
    pub fn note_caller(&mut self, caller: Option<&Arc<Caller>>) {
        self.told.caller = caller.cloned();
    }

    /// Notes something by which it was decided, so that it can be explained.
    pub fn note(&self, put: impl FnOnce(&mut Trail<'_>)) {
        self.worker.requests().trail(&mut self.told.decided.borrow_mut(), put);
    }

    /// Notes the units and the money that are taken for it; its ending decides whether they are charged.
    pub fn note_reserved(&mut self, cost: u64, price: Option<Money>) {
        self.told.reserved = cost;
        self.told.price = price;
    }

    /// Notes units and money that are charged beside those, whatever its ending.
    pub fn note_units(&mut self, units: u64, price: Option<Money>) {
        self.told.more_units = units;
        self.told.more_price = price;
    }

    /// Notes the status that the caller gets.
    pub fn note_head(&mut self, status: StatusCode) {
        self.told.status = status.as_u16();
    }

    /// Notes the code of a refusal.
    pub fn note_code(&mut self, code: Code) {
        self.told.code = Some(code.name());
    }

    /// Notes the code of a refusal that is overlooked, if there is one.
    pub fn note_shadow(&mut self, code: Option<Code>) {
        if let (Some(code), None) = (code, self.told.shadow) {
            self.told.shadow = Some(code.name());
        }
    }

    /// Notes that it goes up now: a connection is looked for. Gives the instant.
    pub fn note_sending(&mut self) -> Instant {
        let now = Instant::now();
        let began = now - self.arrival.started;
        self.gateway = Some(began);
        if let Some(trace) = &mut self.trace {
            trace.note_sending(began);
        }
        now
    }

    /// Notes which of the upstream's endpoints was asked last.
    pub fn note_endpoint(&mut self, index: usize) {
        if let Some(trace) = &mut self.trace {
            trace.note_endpoint(index);
        }
    }

    /// Notes how long the upstream took, and the head of its answer or why none can be passed on.
    pub fn note_answered(&mut self, took: Duration, answer: Result<StatusCode, Code>) {
        self.upstream = took;
        if let Some(trace) = &mut self.trace {
            trace.note_answered(self.gateway.unwrap_or_default() + took, answer);
        }
    }

    /// Notes that all is decided: what comes now waits for the caller.
    pub fn note_decided(&mut self) {
        let took = self.arrival.started.elapsed();
        self.gateway = Some(took.saturating_sub(self.upstream));
    }

    /// Notes bytes of the answer's body.
    pub fn note_sent(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.told.bytes = self.told.bytes.saturating_add(bytes);
    }

    /// Notes that something came from the upstream.
    pub fn moved(&self) {
        self.connection.watch.moved();
    }

    /// Ends it, once: the line is written and the connection may take its next request.
    pub fn finish(&mut self, ending: Ending) {
        self.finish_at(ending, Instant::now());
    }

    /// Ends it at an instant.
    pub fn finish_at(&mut self, ending: Ending, now: Instant) {
        self.close(Some(ending), now);
    }

    /// Ends a request that the gateway answered with a page of its own.
    pub fn finish_own_page(&mut self) {
        self.close(None, Instant::now());
    }

    /// Gives how far it got.
    pub fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// Gives the form in which it is a call of gRPC, if it is one.
    pub fn grpc(&self) -> Option<grpc::Form> {
        self.grpc
    }

    /// Tells whether its caller waits no longer, by what that has said.
    pub fn is_past_deadline(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Gives the request's id.
    pub fn request_id(&self) -> Uuid {
        self.arrival.request_id
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
        self.request_id_value.get_or_init(|| request_id_value(self.arrival.request_id)).clone()
    }

    /// Gives what finding its caller takes.
    pub fn lookup(&self) -> Lookup<'_> {
        self.worker.gateway().lookup(self.snapshot(), self.arrival.now)
    }

    /// Gives the snapshot that decides about it.
    pub fn snapshot(&self) -> &Snapshot {
        self.snapshot.snapshot()
    }

    /// Gives a hold of the snapshot that outlives it, where that says which pages may read its answer.
    pub fn held_with_cors(&self) -> Option<Held> {
        self.snapshot().cors.is_some().then(|| self.snapshot.clone())
    }

    /// Gives the table of its routes.
    pub fn routes(&self) -> &RouteTable {
        self.snapshot.routes()
    }

    /// Tells whether the gateway refuses at all, or forwards who may not be served all the same.
    pub fn enforcing(&self) -> bool {
        self.worker.gateway().enforcing()
    }

    /// Tells whether the gateway is about to stop.
    pub fn is_stopping(&self) -> bool {
        *self.worker.stop().borrow() != Stop::No
    }

    /// Decides whether its caller might still make it, by what is known at present, were it free.
    pub fn may_go_on(&self) -> Result<(), Denial> {
        let (Some(caller), Some(route)) = (&self.told.caller, &self.told.route) else {
            return Ok(());
        };
        if self.told.shadow.is_some() {
            return Ok(());
        }
        right::look(&self.worker, caller, route, self.peer()).map(drop)
    }

    /// Gives the worker that serves it.
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Gives the decision time.
    pub fn now(&self) -> Timestamp {
        self.arrival.now
    }

    /// Gives the source of decision time.
    pub fn clock(&self) -> &Clock {
        self.worker.gateway().clock()
    }

    /// Gives the worker's books.
    pub fn books(&self) -> &Rc<Books> {
        self.worker.books()
    }

    /// Gives the failed keys of all addresses.
    pub fn guesses(&self) -> &Guesses {
        self.worker.gateway().guesses()
    }

    /// Gives the client's connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
