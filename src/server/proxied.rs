//! The beginning of a connection that a proxy opens for somebody else (`server.proxy_protocol`).
//!
//! Choice: an untrusted peer is closed even if it sends no header. Where the listener is meant for
//! proxies alone, whoever else reaches it has found a way around them.

use std::{future::poll_fn, io, net::SocketAddr, time::Duration};

use bytes::{Buf, BytesMut};
use tokio::time::timeout;

use crate::{
    chain::origin,
    http1::Socket,
    server::proxy_protocol::{self, Header, Malformed},
    worker::{
        Stop, Worker,
        watch::{HURRY, Watch},
    },
};

/// Why a connection closes before its first request.
#[derive(Debug, thiserror::Error)]
enum NoClient {
    #[error("the connection ended before its PROXY header")]
    Early,
    #[error("the connection broke before its PROXY header")]
    Io(#[from] io::Error),
    #[error("the PROXY header did not come in time")]
    Late,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the gateway stops")]
    Stop,
    #[error("the peer is no trusted proxy")]
    Untrusted,
}

/// Finds the client of a connection by the header that it begins with, and leaves what came behind
/// that in `received`; `None` when the connection is to close.
pub(super) async fn client(
    worker: &Worker,
    watch: &Watch,
    socket: &Socket,
    peer: SocketAddr,
    received: &mut BytesMut,
) -> Option<SocketAddr> {
    let (is_trusted, time) = {
        let held = worker.snapshot();
        let server = &held.snapshot().server;
        (origin::is_trusted(&server.trusted_proxies, peer.ip()), server.limits.header_timeout)
    };
    let found = match is_trusted {
        true => announced(worker, socket, time, received).await,
        false => Err(NoClient::Untrusted),
    };
    match found {
        Ok(source) => Some(source.unwrap_or(peer)),
        Err(reason) => {
            if let NoClient::Malformed(_) = reason {
                watch.could_not_parse();
            }
            tracing::debug!(%peer, %reason, "a connection closed before its first request");
            None
        }
    }
}

/// Reads the header, within a time.
async fn announced(
    worker: &Worker,
    socket: &Socket,
    time: Duration,
    received: &mut BytesMut,
) -> Result<Option<SocketAddr>, NoClient> {
    let reading = async {
        loop {
            if let Some(Header { length, source }) = proxy_protocol::parse(received)? {
                received.advance(length);
                return Ok(source);
            }
            if poll_fn(|context| socket.poll_read(context, received, 1)).await? == 0 {
                return Err(NoClient::Early);
            }
        }
    };
    let mut stop = worker.stop();
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop != Stop::No).await;
        // It may be on its way, as a request may be.
        tokio::time::sleep(HURRY).await;
    };
    tokio::select! {
        found = timeout(time, reading) => found.unwrap_or(Err(NoClient::Late)),
        () = stopped => Err(NoClient::Stop),
    }
}
