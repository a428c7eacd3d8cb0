//! The beginning of a connection within TLS: its handshake, within bounds.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::time::timeout;

use crate::{
    http1::Socket,
    server::tls::{self, Failure, Secured, Tls},
    worker::{Stop, Worker},
};

/// Why a connection has no TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTls {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error("the TLS handshake did not end in time")]
    Late,
    #[error("the gateway stops")]
    Stop,
}

/// Makes the handshake within a time. Only so many are under way at once, so that those who do not go on
/// with theirs take neither the memory nor the time of everybody else: further ones wait, and their time
/// runs.
pub(super) async fn begin(
    worker: &Worker,
    tls: Arc<Tls>,
    socket: Socket,
    received: BytesMut,
    time: Duration,
) -> Result<(Socket, Secured), NoTls> {
    let Some(stream) = socket.into_clear() else { return Err(NoTls::Late) };
    let shaking = async {
        let _place = worker.gateway().handshakes().acquire().await;
        tls::accept(tls, stream, received).await
    };
    let mut stop = worker.stop();
    tokio::select! {
        made = timeout(time, shaking) => made.map_or(Err(NoTls::Late), |made| Ok(made?)),
        _ = stop.wait_for(|stop| *stop == Stop::Now) => Err(NoTls::Stop),
    }
}
