//! Unused connections to upstreams, one pool per worker: nothing here crosses a thread.

use std::{cell::RefCell, io, rc::Rc, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{
    balance::Balance,
    budget::Budgets,
    connection::Connection,
    gate::{Entry, Gate, Permit},
    http2::Shared,
    lane::Lane,
    tls::Identity,
};
use crate::{
    model::{self, Address, HttpVersion, Limit, Upstream},
    telemetry::metrics::upstreams::{Directory, Endpoint as Figures},
};

/// How many requests of one worker in succession a connection serves while another worker waits for it.
const HANDED_MAX: u32 = 8;

/// The unused connections of one worker.
#[derive(Debug)]
pub struct Pool {
    /// A list: there are few endpoints, and to compare a port costs less than to hash a name.
    unused: RefCell<Vec<Unused>>,
    /// Connections that many requests share.
    shared: RefCell<Vec<Rc<Shared>>>,
    /// Who opens one of those, by where it leads: the others wait for it.
    opening: RefCell<Vec<Opening>>,
    /// Found by where the upstream lies, which is held so that no other comes to lie there.
    balances: RefCell<Vec<(Arc<Upstream>, Rc<Balance>)>>,
    budgets: Budgets,
    /// Who waits for a connection, in order.
    waiting: RefCell<Vec<Waiting>>,
    figures: Directory,
}

/// The unused connections to one endpoint, the one used last at the end. Those that were made by another
/// trust, or in clear, are others.
#[derive(Debug)]
struct Unused {
    upstream: Arc<str>,
    address: Address,
    tls: Option<Identity>,
    connections: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

/// The opening of a connection that many requests are to share.
#[derive(Debug)]
struct Opening {
    upstream: Arc<str>,
    address: Address,
    turn: Rc<Mutex<()>>,
}

/// A request of this worker's that waits for a connection.
#[derive(Debug)]
struct Waiting {
    gate: Arc<Gate>,
    /// What its connection must be made by.
    tls: Option<Identity>,
    turn: oneshot::Sender<Connection>,
}

/// What somebody is given who asked for a connection where there is a limit to them.
#[derive(Debug)]
pub enum Admission {
    /// One that is open.
    Connection(Box<Connection>),
    /// Leave to open one.
    Permit(Permit),
    /// There is none, and too many wait, or none came in time.
    Refused,
}

/// Why no connection was opened.
#[derive(Debug)]
pub enum Unopened {
    /// It could not be.
    Failed(io::Error),
    /// It was not tried, lest callers wait for an endpoint that cannot be reached.
    NotTried,
}

impl Pool {
    /// Makes an empty one.
    pub fn new(figures: Directory) -> Self {
        Self {
            unused: RefCell::default(),
            shared: RefCell::default(),
            opening: RefCell::default(),
            balances: RefCell::default(),
            budgets: Budgets::default(),
            waiting: RefCell::default(),
            figures,
        }
    }

    /// Gives what is counted of an upstream's endpoint.
    pub fn figures(&self, upstream: &Upstream, endpoint: &model::Endpoint) -> Arc<Figures> {
        self.figures.find(&upstream.id, endpoint)
    }

    /// Gives what is known of an upstream with several endpoints.
    pub(super) fn balance(&self, upstream: &Arc<Upstream>) -> Rc<Balance> {
        let mut balances = self.balances.borrow_mut();
        if let Some((_, balance)) = balances.iter().find(|(known, _)| Arc::ptr_eq(known, upstream))
        {
            return Rc::clone(balance);
        }
        let figures = upstream.endpoints.iter().map(|endpoint| self.figures(upstream, endpoint));
        let balance = Rc::new(Balance::new(figures.collect()));
        balances.push((Arc::clone(upstream), Rc::clone(&balance)));
        balance
    }

    /// Takes one request out of what may be sent once more; false when nothing is left of that.
    pub fn may_retry(&self, upstream: &Upstream) -> bool {
        self.budgets.take(&upstream.id, || self.sent(upstream))
    }

    /// Takes what is open: the connection that was used last and is not known to be closed, or a share of one.
    pub fn take(
        &self,
        upstream: &Upstream,
        endpoint: &model::Endpoint,
        now: Instant,
    ) -> Option<Lane> {
        match upstream.version {
            HttpVersion::Http1 => self.take_unused(upstream, endpoint, now).map(Lane::Http1),
            // Where there is a limit, it is to the requests.
            HttpVersion::Http2 if upstream.limit.is_some() => None,
            HttpVersion::Http2 => self.share(upstream, endpoint),
        }
    }

    /// Opens a connection, or takes a share of one that was opened meanwhile.
    pub async fn open(
        &self,
        upstream: &Upstream,
        endpoint: &model::Endpoint,
        time: Duration,
    ) -> Result<Lane, Unopened> {
        let (figures, address) = (self.figures(upstream, endpoint), &endpoint.address);
        if upstream.version == HttpVersion::Http1 {
            admit(&figures)?;
            return Ok(Lane::Http1(Connection::open(upstream, address, figures, time).await?));
        }
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let until = Instant::now() + time;
        let turn = self.turn(upstream, endpoint);
        let _turn = timeout_at(until, turn.lock()).await.map_err(|_| late())?;
        if let Some(lane) = self.share(upstream, endpoint) {
            return Ok(lane);
        }
        // Asked no sooner: who can share a connection needs none to be opened.
        admit(&figures)?;
        let left = until.saturating_duration_since(Instant::now());
        let shared = Shared::open(upstream, address, figures, left).await?;
        let stream = shared.begin(false);
        self.shared.borrow_mut().push(shared);
        let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
        Ok(Lane::Http2(Box::new(stream)))
    }

    /// Takes a share of a connection that is open.
    fn share(&self, upstream: &Upstream, endpoint: &model::Endpoint) -> Option<Lane> {
        let mut all = self.shared.borrow_mut();
        all.retain(|shared| !shared.is_over());
        let mut open = all.iter().filter(|shared| shared.leads(upstream, &endpoint.address));
        open.find_map(|shared| shared.begin(true)).map(|stream| Lane::Http2(Box::new(stream)))
    }

    /// Gives the turn to open a connection.
    fn turn(&self, upstream: &Upstream, endpoint: &model::Endpoint) -> Rc<Mutex<()>> {
        let (id, address) = (&upstream.id, &endpoint.address);
        let mut opening = self.opening.borrow_mut();
        // Those that nobody waits for are forgotten.
        opening.retain(|Opening { turn, .. }| Rc::strong_count(turn) > 1);
        let is_it = |known: &&Opening| known.upstream == *id && known.address == *address;
        if let Some(Opening { turn, .. }) = opening.iter().find(is_it) {
            return Rc::clone(turn);
        }
        let turn = Rc::new(Mutex::new(()));
        let (upstream, address) = (Arc::clone(id), address.clone());
        opening.push(Opening { upstream, address, turn: Rc::clone(&turn) });
        turn
    }

    fn take_unused(
        &self,
        upstream: &Upstream,
        endpoint: &model::Endpoint,
        now: Instant,
    ) -> Option<Connection> {
        let mut unused = self.unused.borrow_mut();
        let unused = find(&mut unused, &upstream.id, &endpoint.address, upstream.tls_identity())?;
        while let Some(Idle { mut connection, until }) = unused.pop() {
            connection.look();
            if now < until && !connection.is_closed() {
                connection.set_idle(false);
                return Some(connection);
            }
        }
        None
    }

    /// Waits for one of the connections that an endpoint may have.
    pub async fn enter(&self, gate: &Arc<Gate>, limit: &Limit, tls: Option<Identity>) -> Admission {
        let mut place = match gate.enter(limit) {
            Entry::Permit(permit) => return Admission::Permit(permit),
            Entry::Full => return Admission::Refused,
            Entry::Wait(place) => place,
        };
        if gate.idle() > 0 {
            self.figures.want();
        }
        let (turn, handed) = oneshot::channel();
        self.waiting.borrow_mut().push(Waiting { gate: Arc::clone(gate), tls, turn });
        let waiting = async {
            tokio::select! {
                // One that is open saves opening one.
                biased;
                Ok(connection) = handed => Admission::Connection(Box::new(connection)),
                Some(permit) = place.turn() => Admission::Permit(permit),
                else => Admission::Refused,
            }
        };
        let admission = tokio::time::timeout(limit.queue_timeout, waiting).await;
        admission.unwrap_or(Admission::Refused)
    }

    /// Puts a connection back after an exchange that ended cleanly.
    pub fn put(&self, lane: Lane, now: Instant) {
        // The others on a connection that is shared go on.
        let Lane::Http1(mut connection) = lane else { return };
        if !connection.rest() {
            return;
        }
        connection.set_idle(true);
        if let Some(gate) = connection.permit().map(|permit| Arc::clone(permit.gate()))
            && gate.waiting() > 0
        {
            connection.set_idle(false);
            return self.hand_on(connection, &gate);
        }
        let until = now + connection.keepalive();
        let mut unused = self.unused.borrow_mut();
        let (upstream, tls) = (&connection.figures().upstream, connection.tls());
        match find(&mut unused, upstream, connection.address(), tls) {
            Some(connections) => connections.push(Idle { connection, until }),
            None => {
                let (upstream, address) = (Arc::clone(upstream), connection.address().clone());
                let connections = vec![Idle { connection, until }];
                unused.push(Unused { upstream, address, tls, connections });
            }
        }
    }

    /// Gives a connection to somebody who waits. To whom of this worker, as it is; to others by closing it,
    /// and before that at most a few times to this worker's own.
    fn hand_on(&self, mut connection: Connection, gate: &Arc<Gate>) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|waiting| !waiting.turn.is_closed());
        let is_it = |waiting: &Waiting| Arc::ptr_eq(&waiting.gate, gate);
        let own = waiting.iter().filter(|waiting| is_it(waiting)).count();
        if gate.waiting() > own && connection.hand_on() > HANDED_MAX {
            return;
        }
        // Closed otherwise, which lets somebody open another.
        let is_for = |waiting: &Waiting| is_it(waiting) && waiting.tls == connection.tls();
        if let Some(first) = waiting.iter().position(is_for) {
            // Who has left this moment leaves it to be closed.
            drop(waiting.remove(first).turn.send(connection));
        }
    }

    /// Closes unused connections to endpoints that others wait for.
    pub fn make_room(&self) {
        for Unused { connections, .. } in &mut *self.unused.borrow_mut() {
            let wanted = |Idle { connection, .. }: &Idle| {
                connection.permit().is_some_and(|permit| permit.gate().waiting() > 0)
            };
            // For each that is closed another is let in, which waits no more.
            while connections.first().is_some_and(wanted) {
                connections.remove(0);
            }
        }
    }

    /// Closes what was closed by the other side or not used for too long, and what leads to endpoints
    /// that no upstream has any more; forgets upstreams that nobody else knows; called now and then.
    pub fn sweep(&self, upstreams: &[Arc<Upstream>]) {
        self.make_room();
        self.balances.borrow_mut().retain(|(upstream, _)| Arc::strong_count(upstream) > 1);
        self.budgets.sweep(|id| {
            let upstream = upstreams.iter().find(|upstream| *upstream.id == *id)?;
            Some(self.sent(upstream))
        });
        let now = Instant::now();
        self.unused.borrow_mut().retain_mut(|Unused { upstream, address, tls, connections }| {
            let is_there = upstreams.iter().any(|of| {
                of.id == *upstream
                    && of.tls_identity() == *tls
                    && of.endpoints.iter().any(|one| one.address == *address)
            });
            connections.retain_mut(|Idle { connection, until }| {
                connection.look();
                is_there && now < *until && !connection.is_closed()
            });
            !connections.is_empty()
        });
        self.shared.borrow_mut().retain(|shared| {
            let is_it = |of: &&Arc<Upstream>| {
                of.endpoints.iter().any(|endpoint| shared.leads(of, &endpoint.address))
            };
            !shared.is_over() && !shared.is_stale(now) && upstreams.iter().find(is_it).is_some()
        });
        self.waiting.borrow_mut().retain(|waiting| !waiting.turn.is_closed());
    }

    /// Gives the signal that somebody waits for a connection that is not used.
    pub fn wanted(&self) -> watch::Receiver<()> {
        self.figures.wanted()
    }

    /// Gives how many requests this worker sent to an upstream.
    fn sent(&self, upstream: &Upstream) -> u64 {
        let endpoints = upstream.endpoints.iter();
        endpoints.map(|endpoint| self.figures(upstream, endpoint).sent()).sum()
    }
}

/// Asks whether a connection may be tried.
fn admit(figures: &Figures) -> Result<(), Unopened> {
    match figures.standing.admits_connection(Instant::now()) {
        true => Ok(()),
        false => Err(Unopened::NotTried),
    }
}

fn find<'a>(
    unused: &'a mut [Unused],
    upstream: &Arc<str>,
    address: &Address,
    tls: Option<Identity>,
) -> Option<&'a mut Vec<Idle>> {
    let is_it = |unused: &&mut Unused| {
        unused.address == *address && unused.upstream == *upstream && unused.tls == tls
    };
    unused.iter_mut().find(is_it).map(|unused| &mut unused.connections)
}

impl From<io::Error> for Unopened {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}
