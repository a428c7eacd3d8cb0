//! The acceptor: takes connections and hands each to the worker that has the fewest.
//!
//! One listening socket without `SO_REUSEPORT`, so that a second gateway on the same port is refused
//! by the system instead of silently taking half of the connections.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;

use crate::{server::thread::Handle, worker::Stop};

/// Connections that the system keeps while none is taken.
const BACKLOG: i32 = 1024;

/// How long to wait when the system has no descriptor or memory for another connection.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How often to look whether a connection has ended, while there are as many as allowed.
const FULL_WAIT: Duration = Duration::from_millis(10);

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

/// Takes connections until a stop is asked for. The listening socket closes with the return.
pub async fn accept(
    listener: TcpListener,
    workers: &[Handle],
    connections_max: usize,
    mut stop: watch::Receiver<Stop>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let accepting = async {
        // Told when it begins, not at every try.
        let mut failing = false;
        loop {
            while workers.iter().map(Handle::connections).sum::<usize>() >= connections_max {
                tokio::time::sleep(FULL_WAIT).await;
            }
            match listener.accept().await {
                Ok((stream, peer)) => {
                    failing = false;
                    hand_over(stream, peer, workers).await;
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
    };
    tokio::select! {
        () = accepting => {}
        _ = stop.wait_for(|stop| *stop != Stop::No) => {}
    }
    Ok(())
}

/// Hands a socket to the least-loaded worker, as a socket of the standard library: the worker
/// registers it with its own runtime.
async fn hand_over(stream: tokio::net::TcpStream, peer: SocketAddr, workers: &[Handle]) {
    let least = workers.iter().min_by_key(|worker| worker.connections());
    let prepared = stream.set_nodelay(true).and_then(|()| stream.into_std());
    match (least, prepared) {
        (Some(worker), Ok(socket)) => worker.hand_over(socket, peer).await,
        (_, Err(error)) => tracing::debug!(%error, "client left before it was served"),
        (None, Ok(_)) => {}
    }
}

/// Tells errors of the connection that was being taken from errors of the listener.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
