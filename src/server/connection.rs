//! One client connection: which protocol it speaks, and its end.

use std::{
    cell::Cell,
    future::poll_fn,
    net::{Shutdown, SocketAddr},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    config::ServerLimits,
    http1::Socket,
    server::{
        addresses::{self, Place},
        answers::Answers,
        clocks,
        http1::{self, Unparsable},
        http2, proxied,
        secured::{self, NoTls},
        tls::{Failure, Secured, Tls},
    },
    worker::{Connection, Stop, Worker, watch::Watch},
};

/// How long a body nobody wants is read while closing, so that the answer arrives.
pub(super) const LINGER_TIME: Duration = Duration::from_secs(30);

/// The same of HTTP/2, where such a body holds up its stream alone: what is read there is the rest of what the
/// connection was ended for.
const LINGER_TIME_HTTP2: Duration = Duration::from_secs(1);

/// How long the client may send nothing in that time.
pub(super) const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    listener: usize,
) {
    // In memory of its own, which is free again before the first request.
    let Some(mut begun) = Box::pin(begin(&worker, stream, peer, listener)).await else { return };
    let received = std::mem::take(&mut begun.received);
    let preface = match begun.is_http2() {
        true => Some(received),
        false => serve_http1(&begun, received, &worker).await,
    };
    let linger_time = if preface.is_some() { LINGER_TIME_HTTP2 } else { LINGER_TIME };
    if let Some(received) = preface {
        let Begun { socket, connection, limits, .. } = &begun;
        // By itself: it is far larger, and most connections need none.
        Box::pin(http2::serve(&worker, connection, socket, received, limits)).await;
    }
    let Begun { socket, connection, .. } = &begun;
    if connection.watch.has_given_up() {
        // The system would go on offering what it holds to a client that does not take it.
        return socket.reset_when_dropped();
    }
    close(&worker, &connection.watch, socket, linger_time).await;
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

impl Begun {
    /// Tells whether the handshake has agreed on HTTP/2.
    fn is_http2(&self) -> bool {
        self.connection.secured.as_ref().is_some_and(|secured| secured.is_http2())
    }
}

/// Finds whom a connection is for, and makes its handshake; `None` where it is over by that.
async fn begin(
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    listener: usize,
) -> Option<Begun> {
    let (limits, is_proxied, tls) = {
        let server = &worker.gateway().snapshot().server;
        // A reload takes none away.
        let (tls, is_proxied) = server.spoken().nth(listener)?;
        (server.limits.clone(), is_proxied, tls.map(|tls| Arc::clone(&tls.ready)))
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
    close(worker, watch, &socket, LINGER_TIME).await;
}

async fn close(worker: &Worker, watch: &Watch, socket: &Socket, time: Duration) {
    socket.shut_down(Shutdown::Write);
    if watch.left_unread() {
        let mut signal = worker.stop();
        tokio::select! {
            () = linger(socket, time) => {}
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

/// Serves requests by HTTP/1.1; tells whether the client has begun to speak HTTP/2 instead, and gives what
/// came of that.
async fn serve_http1(begun: &Begun, received: BytesMut, worker: &Rc<Worker>) -> Option<BytesMut> {
    let Begun { socket, connection, limits, .. } = begun;
    let watch = &connection.watch;
    let is_closing = Cell::new(false);
    let protocol = {
        let (socket, watch) = (Rc::clone(socket), Rc::clone(watch));
        http1::Connection::new(socket, watch, received, limits, &is_closing)
    };
    // Within TLS the handshake has decided.
    let protocol = if connection.secured.is_none() { protocol.or_http2() } else { protocol };
    let answers = Answers { worker, connection };
    let mut preface = None;
    {
        let serving = pin!(async { preface = protocol.serve(&answers).await });
        clocks::run(worker, watch, limits.header_timeout, &is_closing, serving).await;
    }
    preface
}

/// Reads what a client still sends after its answer, for a bounded time. Our end is sent by now; to
/// close with unread bytes would reset the connection and take the answer from a client that reads
/// it only when it has sent everything (RFC 9112 section 9.6).
async fn linger(socket: &Socket, time: Duration) {
    let mut scratch = BytesMut::new();
    let reading = async {
        let mut read = async || {
            scratch.clear();
            poll_fn(|context| socket.poll_read(context, &mut scratch, 1)).await
        };
        while let Ok(Ok(1..)) = timeout(LINGER_SILENCE, read()).await {}
    };
    let _ = timeout(time, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives the size of the future that a function makes, without one.
    fn size_of_future<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
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
