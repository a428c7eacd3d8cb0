//! The end of the listening socket: who has a connection by then is served.
//!
//! Race: to close a listening socket resets what waits in its queue, and what is between the system's
//! answer to a client and the client's own, which takes a journey there and back. So nothing new is let
//! in first, by a filter; then the queue is taken until that time is over. A client that is not let in tries again
//! by itself after a second: the next process has it then, or it is refused.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use tokio::time::Instant;

use super::acceptor::is_of_one_connection;

/// How long a handshake that was begun may take.
const HANDSHAKE: Duration = Duration::from_millis(200);

/// How often the queue is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Takes what connections there are, and closes the listening socket.
pub(super) async fn drain(listener: TcpListener, mut take: impl AsyncFnMut(TcpStream, SocketAddr)) {
    if let Err(error) = keep_out(&listener) {
        tracing::debug!(%error, "connections that are opened at this moment may be reset");
    }
    // Within the machine a handshake is done at once.
    let is_near = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let end = Instant::now() + if is_near { Duration::ZERO } else { HANDSHAKE };
    loop {
        let is_last = Instant::now() >= end;
        loop {
            match listener.accept() {
                Ok((socket, peer)) => match socket.set_nonblocking(true) {
                    Ok(()) => take(socket, peer).await,
                    Err(error) => tracing::debug!(%error, "client left before it was served"),
                },
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    return tracing::error!(%error, "connections that wait cannot be taken");
                }
            }
        }
        if is_last {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Lets no client begin a handshake any more.
#[cfg(any(target_os = "android", target_os = "linux"))]
fn keep_out(listener: &TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    // In the instructions of the classic packet filter, on a segment from its first byte (RFC 9293 section 3.1).
    let filter = [
        // The flags, and of them SYN and ACK.
        SockFilter::new(0x30, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        // SYN alone is dropped, anything else passes whole.
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

#[cfg(not(any(target_os = "android", target_os = "linux")))]
fn keep_out(_: &TcpListener) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::server::acceptor;

    /// Clients connect without a pause while the socket is drained: each of them that got a connection is
    /// taken, and none is reset.
    #[test]
    fn nobody_who_has_a_connection_is_reset() {
        for _ in 0..20 {
            let listener = acceptor::listen("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local_addr().unwrap();
            let waiting: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
            let coming = std::thread::spawn(move || {
                let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
                std::iter::from_fn(|| connect().ok()).take(10_000).collect::<Vec<_>>()
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let mut taken = 0;
            runtime.unwrap().block_on(drain(listener, async |mut socket, _| {
                taken += 1;
                let _ = socket.write_all(b"!");
            }));
            let clients: Vec<_> = waiting.into_iter().chain(coming.join().unwrap()).collect();
            assert_eq!(taken, clients.len());
            for mut client in clients {
                let mut all = Vec::new();
                client.read_to_end(&mut all).unwrap();
                assert_eq!(all, b"!");
            }
        }
    }
}
