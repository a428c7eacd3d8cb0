//! A worker without its sockets: what `chain::serve` does with a request before and after the upstream
//! has it, done by the steps themselves.

use std::{
    net::SocketAddr,
    path::Path,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use faregate::{
    answer::{Ending, Refusal, problem},
    chain::{
        arrival::Arrival,
        authenticate,
        exchange::Exchange,
        head, pages, quota,
        quota::{Decided, Reserved},
        route, subscription,
        target::Target,
    },
    clock::Clock,
    config::{Config, Loaded},
    gateway::Gateway,
    ledger::Ledger,
    requests,
    telemetry::{
        Sinks,
        access_log::{self, Format},
    },
    worker::{Connection, IdMaker, Stop, Worker, books::Books, watch::Watch},
};
use http::{Request, StatusCode, request::Parts};
use tokio::sync::watch;

use super::place::{self, Place};

/// A worker with one client's connection.
pub(crate) struct SmallGateway {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
}

/// A request whose head has come.
pub(crate) struct Call {
    head: Parts,
}

/// Checks a configuration.
pub(crate) fn config(text: &str) -> Config {
    let loaded = Loaded::parse(text, Path::new("faregate.toml"));
    loaded.into_config().unwrap_or_else(|report| panic!("{report:?}"))
}

impl SmallGateway {
    /// Makes one of a configuration. Beside it the directory of its journal, which must outlive it.
    /// Requests are not recorded.
    pub(crate) fn new(text: &str, clock: Clock) -> (Self, Place) {
        Self::make(text, clock, |_, _| None)
    }

    /// Makes one that records what explains its requests, as a gateway does.
    #[allow(dead_code, reason = "one of the two programs that share this has no use for it")]
    pub(crate) fn recording(text: &str, clock: Clock) -> (Self, Place) {
        let start = |gateway: &Arc<Gateway>, place: &Place| {
            let directory = place.path().join("requests");
            Some(requests::start(Arc::clone(gateway), directory).unwrap().0)
        };
        Self::make(text, clock, start)
    }

    fn make(
        text: &str,
        clock: Clock,
        record: impl FnOnce(&Arc<Gateway>, &Place) -> Option<requests::Sink>,
    ) -> (Self, Place) {
        let config = config(text);
        let (lines, _) = access_log::start(&config.log.access, Format::Json).unwrap();
        let (directory, writer) = place::open();
        let ledger = Ledger::new(clock.now());
        let gateway = Arc::new(Gateway::new(&config, None, ledger, Arc::new(clock)));
        let limits = gateway.snapshot().server.limits.clone();
        let peer = SocketAddr::from(([192, 0, 2, 7], 50_000));
        let (_, stop) = watch::channel(Stop::No);
        let requests = record(&gateway, &directory);
        let sinks = Sinks { lines, records: None, requests };
        let worker = Worker::new(gateway, writer, sinks, stop, IdMaker::new().unwrap());
        let watch = Rc::new(Watch::new(&limits, Arc::clone(worker.connections())));
        let connection = Rc::new(Connection::new(peer, watch, None));
        (Self { worker: Rc::new(worker), connection }, directory)
    }

    /// Takes a request to its end, as if the upstream had answered one that is served and the caller
    /// had read the answer. Gives the status of the answer.
    pub(crate) fn pass(&self, call: &Call) -> StatusCode {
        let mut exchange = self.begin(call);
        match steps(&mut exchange, call) {
            Ok(reserved) => {
                exchange.progress().set_sent();
                exchange.progress().set_head();
                exchange.note_head(StatusCode::OK);
                // An ending after the head that charges, as most requests have.
                drop(reserved);
                exchange.books().settle_due();
                exchange.finish(Ending::Completed);
                StatusCode::OK
            }
            Err(refusal) => {
                let status = problem::answer(&refusal, &exchange.context()).status;
                exchange.note_head(status);
                exchange.finish(Ending::Refused);
                status
            }
        }
    }

    /// Decides about a request that is to be served, and charges it; nothing is written down.
    pub(crate) fn check(&self, exchange: &Exchange, call: &Call) {
        let target = Target::parse(&call.head).unwrap();
        let routed = route::route(exchange.routes(), &call.head, target, true).unwrap();
        let cost = routed.route().cost;
        let identified = authenticate::identify(routed, &call.head, exchange).unwrap();
        let (peer, now) = (exchange.peer(), self.worker.gateway().clock().now());
        let authenticated = authenticate::authenticate(identified, peer, now).unwrap();
        let entitled = subscription::subscription(exchange.snapshot(), authenticated, now).unwrap();
        let caller = entitled.payer().caller().unwrap();
        caller.accounts.reserve(&caller.limits, cost, now).unwrap().settle(cost);
    }

    /// Begins a request.
    pub(crate) fn begin(&self, call: &Call) -> Exchange {
        let arrival = Arrival::now(&self.worker);
        Exchange::begin(&self.worker, &self.connection, &call.head, arrival)
    }
}

impl Call {
    /// Makes a GET with a key and the fields that clients commonly send.
    pub(crate) fn get(path: &str, key: &str) -> Self {
        let request = Request::get(path)
            .header("host", "api.example.com")
            .header("user-agent", "python-requests/2.32.5")
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate, br")
            .header("accept-language", "en-GB,en;q=0.8")
            .header("cache-control", "no-cache")
            .header("authorization", format!("Bearer {key}"))
            .body(())
            .unwrap();
        let (head, ()) = request.into_parts();
        Self { head }
    }
}

/// Runs the steps before `forward`, in the order of `chain::serve`. A body is not among them: the
/// measured requests have none.
pub(crate) fn steps(exchange: &mut Exchange, call: &Call) -> Result<Reserved, Refusal> {
    let head = &call.head;
    head::check(head, &exchange.snapshot().server.limits)?;
    let target = Target::parse(head)?;
    exchange.note_target(&target);
    assert!(pages::find(&target, exchange).is_none(), "no page of the gateway's own is measured");
    let routed = route::route(exchange.routes(), head, target, exchange.enforcing())?;
    exchange.note_route(&routed, false);
    let identified = authenticate::identify(routed, head, exchange)?;
    exchange.note_caller(identified.payer().caller());
    let authenticated = authenticate::authenticate(identified, exchange.peer(), exchange.now())?;
    let entitled = subscription::subscription(exchange.snapshot(), authenticated, exchange.now())?;
    exchange.note_shadow(entitled.payer().shadow());
    let books = Rc::clone(exchange.books());
    let Decided::Reserved(reserved) = written(&books, quota::quota(entitled, None, exchange))?
    else {
        panic!("no payment is measured");
    };
    exchange.note_shadow(reserved.shadow());
    exchange.note_reserved(reserved.cost(), reserved.price());
    Ok(reserved)
}

/// Runs a future that waits for the append of what it puts, and for nothing else.
fn written<T>(books: &Books, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        books.write();
    }
}
