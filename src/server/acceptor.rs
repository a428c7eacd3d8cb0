//! The acceptor: takes connections and hands each to the worker that has the fewest.
//!
//! Each listening socket is one, without `SO_REUSEPORT`, so that a second gateway on the same port is refused
//! by the system instead of silently taking half of the connections.

use std::{
    future::{Future, poll_fn},
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    task::Poll,
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::watch;

use crate::{
    chain::origin,
    gateway::Gateway,
    server::{
        addresses::{self, Place, TooMany},
        drain,
        thread::{Accepted, Handle},
    },
    worker::Stop,
};

/// Connections that the system keeps while none is taken.
const BACKLOG: i32 = 1024;

/// How long to wait when the system has no descriptor or memory for another connection.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How often to look whether there is room again for a connection.
const FULL_WAIT: Duration = Duration::from_millis(10);

/// What the system takes of an answer beyond what is under way to the client. Its own bound is some
/// megabytes, which a thousand clients who read nothing would fill.
const UNSENT_BYTES_MAX: u32 = 64 * 1024;

/// Opens a listening socket.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the process before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections until a stop is asked for, and then those that the system has taken by that time.
/// The listening sockets are closed when it returns.
pub async fn accept(
    listeners: Vec<TcpListener>,
    workers: &[Handle],
    gateway: &Gateway,
    stop: &watch::Receiver<Stop>,
) {
    let accept = |(listener, socket)| {
        let entrance = Entrance { listener, workers, gateway };
        Box::pin(entrance.accept(socket, stop.clone()))
    };
    let mut accepting: Vec<_> = listeners.into_iter().enumerate().map(accept).collect();
    poll_fn(|context| {
        accepting.retain_mut(|one| match one.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a listener failed");
                }
                false
            }
        });
        if accepting.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Where connections of one listener go.
#[derive(Clone, Copy)]
struct Entrance<'a> {
    /// Its place among the gateway's.
    listener: usize,
    workers: &'a [Handle],
    gateway: &'a Gateway,
}

impl Entrance<'_> {
    async fn accept(
        self,
        listener: TcpListener,
        mut stop: watch::Receiver<Stop>,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        // Told when it begins, not at every try.
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop != Stop::No) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    // It is nobody's until there is room. A stop finds room for all, lest they be reset.
                    tokio::select! {
                        () = self.wait_for_room() => {}
                        _ = stop.wait_for(|stop| *stop != Stop::No) => {}
                    }
                    match stream.into_std() {
                        Ok(socket) => self.hand_over(socket, peer).await,
                        Err(error) => tracing::debug!(%error, "a connection cannot be taken"),
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, "no connection can be taken, trying again");
                    }
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
        let take = async |socket, peer| self.hand_over(socket, peer).await;
        drain::drain(listener.into_std()?, take).await;
        Ok(())
    }

    /// Waits until there are fewer connections than allowed, and memory for another.
    async fn wait_for_room(self) {
        while self.is_full() || self.gateway.memory().is_short() {
            tokio::time::sleep(FULL_WAIT).await;
        }
    }

    fn is_full(self) -> bool {
        let open = self.workers.iter().map(Handle::connections).sum::<usize>();
        open >= self.gateway.connections_max()
    }

    /// Hands a socket to the least-loaded worker, as a socket of the standard library: the worker
    /// registers it with its own runtime.
    async fn hand_over(self, socket: TcpStream, peer: SocketAddr) {
        let place = match self.place(peer) {
            Ok(place) => place,
            Err(error) => return tracing::debug!(%peer, %error, "a connection is closed at once"),
        };
        let least = self.workers.iter().min_by_key(|worker| worker.connections());
        let listener = self.listener;
        match (least, prepare(&socket)) {
            (Some(worker), Ok(())) => {
                worker.hand_over(Accepted { socket, peer, listener, place }).await;
            }
            (_, Err(error)) => tracing::debug!(%error, "client left before it was served"),
            (None, Ok(())) => {}
        }
    }

    /// Takes a place for a connection. For whom a proxy has opened one, only its first bytes tell.
    fn place(self, peer: SocketAddr) -> Result<Option<Place>, TooMany> {
        let is_proxied = self.gateway.look(|snapshot| {
            let server = &snapshot.server;
            let begins_so = server.spoken().nth(self.listener).is_some_and(|(_, is_so)| is_so);
            begins_so && origin::is_trusted(&server.trusted_proxies, peer.ip())
        });
        if is_proxied { Ok(None) } else { addresses::admit(self.gateway, peer.ip()) }
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    #[cfg(any(target_os = "android", target_os = "linux"))]
    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    Ok(())
}

/// Tells errors of the connection that was being taken from errors of the listener.
pub(super) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
