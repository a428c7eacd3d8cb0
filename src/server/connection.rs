//! One client connection: its requests, the clocks, the end.

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    net::{Shutdown, SocketAddr},
    panic::AssertUnwindSafe,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use http::request::Parts;
use jiff::Timestamp;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use uuid::Uuid;

use crate::{
    answer::{Denial, Fault, Refusal, problem},
    chain::{self, arrival::Arrival, reply::Reply},
    config::ServerLimits,
    http1::Socket,
    server::{
        addresses::{self, Place},
        http1::{self, ClientBody, Unparsable},
        proxied,
        secured::{self, NoTls},
        tls::{Failure, Secured, Tls},
    },
    worker::{
        Connection, Signals, Stop, Worker,
        watch::{Expired, Watch},
    },
};

/// How long a body nobody wants is read while closing, so that the answer arrives.
const LINGER_TIME: Duration = Duration::from_secs(30);

/// How long the client may send nothing in that time.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) async fn serve(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    // In memory of its own, which is free again before the first request.
    let Some(begun) = Box::pin(begin(&worker, stream, peer)).await else { return };
    let Begun { socket, connection, received, limits, _place } = begun;
    serve_requests(&worker, &connection, &socket, received, &limits).await;
    if connection.watch.has_given_up() {
        // The system would go on offering what it holds to a client that does not take it.
        return socket.reset_when_dropped();
    }
    close(&worker, &connection.watch, &socket).await;
}

/// A connection that is ready for its first request.
struct Begun {
    socket: Rc<Socket>,
    connection: Rc<Connection>,
    /// What came already.
    received: BytesMut,
    limits: ServerLimits,
    _place: Option<Place>,
}

/// Finds whom a connection is for, and makes its handshake; `None` where it is over by that.
async fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) -> Option<Begun> {
    let (limits, is_proxied, tls) = {
        let server = &worker.gateway().snapshot().server;
        let tls = server.tls.as_ref().map(|tls| Arc::clone(&tls.ready));
        (server.limits.clone(), server.proxy_protocol, tls)
    };
    let watch = Rc::new(Watch::new(&limits, Arc::clone(worker.connections())));
    let (mut socket, mut secured) = (Socket::new(stream), None);
    let (mut client, mut received) = (peer, BytesMut::new());
    if is_proxied {
        client = proxied::client(worker, &watch, &socket, peer, &mut received).await?;
    }
    let place = announced_place(worker, client, is_proxied).ok()?;
    if let Some(tls) = tls {
        let received = std::mem::take(&mut received);
        let made = secure(worker, client, &watch, tls, socket, received, &limits).await?;
        (socket, secured) = (made.0, Some(made.1));
    }
    let connection = Rc::new(Connection::new(client, watch, secured));
    Some(Begun { socket: Rc::new(socket), connection, received, limits, _place: place })
}

/// Makes the handshake; `None` where the connection is over by that.
async fn secure(
    worker: &Rc<Worker>,
    client: SocketAddr,
    watch: &Rc<Watch>,
    tls: Arc<Tls>,
    socket: Socket,
    received: BytesMut,
    limits: &ServerLimits,
) -> Option<(Socket, Secured)> {
    match secured::begin(worker, tls, socket, received, limits.header_timeout).await {
        Ok(begun) => return Some(begun),
        Err(NoTls::Failed(Failure::InClear(clear))) => {
            refuse_in_clear(worker, client, watch, clear, limits).await;
        }
        Err(reason) => {
            tracing::debug!(%client, %reason, "a connection closed before its first request");
        }
    }
    None
}

/// Tells whoever speaks in clear to a listener with TLS what is wrong: all else would be a riddle.
async fn refuse_in_clear(
    worker: &Rc<Worker>,
    client: SocketAddr,
    watch: &Rc<Watch>,
    socket: Socket,
    limits: &ServerLimits,
) {
    const REASON: Unparsable = Unparsable::Malformed("This listener speaks TLS: write https://.");
    let socket = Rc::new(socket);
    let connection = Rc::new(Connection::new(client, Rc::clone(watch), None));
    let is_closing = Cell::new(true);
    let protocol = {
        let (socket, watch) = (Rc::clone(&socket), Rc::clone(watch));
        http1::Connection::new(socket, watch, BytesMut::new(), limits, &is_closing)
    };
    let answers = Answers { worker, connection: &connection };
    let _ = timeout(limits.header_timeout, protocol.refuse(REASON, &answers)).await;
    close(worker, watch, &socket).await;
}

async fn close(worker: &Worker, watch: &Watch, socket: &Socket) {
    socket.shut_down(Shutdown::Write);
    if watch.left_unread() {
        let mut signal = worker.stop();
        tokio::select! {
            () = linger(socket) => {}
            _ = signal.wait_for(|stop| *stop == Stop::Now) => {}
        }
    }
}

/// Takes the place of a connection whose client a proxy has told. The others have theirs from the
/// acceptor.
fn announced_place(
    worker: &Worker,
    client: SocketAddr,
    is_proxied: bool,
) -> Result<Option<Place>, addresses::TooMany> {
    if is_proxied { addresses::admit(worker.gateway(), client.ip()) } else { Ok(None) }
}

async fn serve_requests(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    socket: &Rc<Socket>,
    received: BytesMut,
    limits: &ServerLimits,
) {
    let watch = &connection.watch;
    let is_closing = Cell::new(false);
    let protocol = {
        let (socket, watch) = (Rc::clone(socket), Rc::clone(watch));
        http1::Connection::new(socket, watch, received, limits, &is_closing)
    };
    let answers = Answers { worker, connection };
    let mut serving = pin!(protocol.serve(&answers));
    let mut sleep = pin!(tokio::time::sleep_until(Instant::now() + limits.header_timeout));
    let mut signals = worker.signals();
    signals.mark_changed();
    let mut waking = pin!(wake_at_changes(signals.clone()));
    poll_fn(|context| {
        // To poll it takes a lock, to look whether there is something to see does not.
        while signals.has_changed().unwrap_or(false) {
            watch.tell(*signals.borrow_and_update());
            let _ = waking.as_mut().poll(context);
        }
        let stop = watch.signals().stop;
        is_closing.set(stop != Stop::No);
        if stop == Stop::Now {
            // A request without a head is answered in this poll; everything else ends here.
            let _ = serving.as_mut().poll(context);
            return Poll::Ready(());
        }
        loop {
            if serving.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            match watch.poll_expired(context, sleep.as_mut()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Expired::Close) => return Poll::Ready(()),
                // The request sees its cut, and the answer that it is looked at, when it is polled again.
                Poll::Ready(Expired::Answer | Expired::Look) => {}
            }
        }
    })
    .await;
}

/// Answers the requests of a connection.
struct Answers<'a> {
    worker: &'a Rc<Worker>,
    connection: &'a Rc<Connection>,
}

/// Wakes whoever polls it whenever there is something new. It never ends by itself.
async fn wake_at_changes(mut signals: tokio::sync::watch::Receiver<Signals>) {
    while signals.changed().await.is_ok() {}
    // Nobody is left who could tell anything.
    std::future::pending::<()>().await;
}

impl http1::Service for Answers<'_> {
    /// Answers one request. A panic of ours is this request's alone: the reservation is settled while the
    /// stack unwinds, and the caller gets a 500.
    async fn answer(&self, head: &mut Parts, body: ClientBody) -> Reply {
        let arrival = Arrival::now(self.worker);
        let request_id = arrival.request_id;
        let answered = {
            let serving = chain::serve(self.worker, self.connection, head, body, arrival);
            let mut serving = pin!(serving);
            poll_fn(|context| {
                // Nothing that a panic leaves half done is looked at again: the request's state is
                // dropped.
                let polled = AssertUnwindSafe(|| serving.as_mut().poll(context));
                match std::panic::catch_unwind(polled) {
                    Ok(polled) => polled.map(Some),
                    Err(_) => Poll::Ready(None),
                }
            })
            .await
        };
        answered.unwrap_or_else(|| {
            let mut reply = self.refuse_outright(&Fault::Internal.into(), request_id);
            if let Some(policy) = &self.worker.snapshot().snapshot().cors {
                policy.tell(&head.headers, &mut reply.fields);
            }
            reply
        })
    }

    fn refuse(&self, reason: Unparsable) -> Reply {
        let max = self.worker.gateway().snapshot().server.limits.header_bytes;
        let denial = match reason {
            Unparsable::Malformed(reason) => Denial::InvalidRequest(reason),
            Unparsable::TooLarge => Denial::HeadersTooLarge { max },
        };
        let (arrival, code) = (Arrival::now(self.worker), denial.code());
        let reply = self.refuse_outright(&denial.into(), arrival.request_id);
        chain::keep_unread(self.worker, &arrival, code, reply.status);
        reply
    }

    fn now(&self) -> Timestamp {
        self.worker.gateway().clock().now()
    }
}

impl Answers<'_> {
    /// Answers where nothing is known of the request, and closes.
    fn refuse_outright(&self, refusal: &Refusal, request_id: Uuid) -> Reply {
        let snapshot = self.worker.gateway().snapshot();
        let public_url = snapshot.server.public_url.as_deref();
        let problem = problem::answer(
            refusal,
            &problem::Context {
                request_id,
                outward_id: None,
                now: self.worker.gateway().clock().now(),
                base_url: public_url.map_or(problem::BaseUrl::Unknown, problem::BaseUrl::Public),
                prefix: &snapshot.server.reserved_prefix,
                realm: &snapshot.realm,
                plan: None,
                upgrade_url: None,
                status_by_code: &snapshot.status_by_code,
            },
        );
        Reply::refusal(problem, true)
    }
}

/// Reads what a client still sends after its answer, for a bounded time. Our end is sent by now; to
/// close with unread bytes would reset the connection and take the answer from a client that reads
/// it only when it has sent everything (RFC 9112 section 9.6).
async fn linger(socket: &Socket) {
    let mut scratch = BytesMut::new();
    let reading = async {
        let mut read = async || {
            scratch.clear();
            poll_fn(|context| socket.poll_read(context, &mut scratch, 1)).await
        };
        while let Ok(Ok(1..)) = timeout(LINGER_SILENCE, read()).await {}
    };
    let _ = timeout(LINGER_TIME, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the size of the future that a function makes, without one.
    fn size_of_future<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// There may be many thousands of them, most of which wait for their next request: what only a request
    /// needs is not to lie here.
    #[test]
    fn connection_that_waits_is_small() {
        let (future, watch) = (size_of_future(serve), size_of::<Watch>());
        println!("{future} bytes of future, {watch} of clocks");
        assert!(future <= 1536 && watch <= 384, "{future}, {watch}");
    }
}
