//! The beginning of a connection within TLS: its handshake, within bounds.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{sync::watch, time::timeout};

use crate::{
    http1::Socket,
    server::tls::{self, Failure, Secured, Tls},
    telemetry::metrics::handshakes::Unmade,
    worker::{Stop, Worker, watch::HURRY},
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

impl NoTls {
    /// Gives the class that it is counted in.
    fn class(&self) -> Unmade {
        match self {
            Self::Failed(failure) => failure.class(),
            Self::Late => Unmade::Late,
            Self::Stop => Unmade::Stop,
        }
    }
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
    let Some(stream) = socket.into_tcp() else { return Err(NoTls::Late) };
    let shaking = async {
        let _place = worker.gateway().handshakes().acquire().await;
        tls::accept(tls, stream, received).await
    };
    let mut stop = worker.stop();
    let made = tokio::select! {
        made = timeout(time, shaking) => made.map_or(Err(NoTls::Late), |made| Ok(made?)),
        () = last_moment(&mut stop) => Err(NoTls::Stop),
    };
    let counts = &worker.connections().handshakes;
    match &made {
        Ok((_, secured)) => counts.made(secured.version(), secured.is_resumed()),
        Err(reason) => counts.unmade(reason.class()),
    }
    made
}

/// Waits for a stop, and then as long as who has only just come may take to say something.
async fn last_moment(stop: &mut watch::Receiver<Stop>) {
    let _ = stop.wait_for(|stop| *stop != Stop::No).await;
    let _ = timeout(HURRY, stop.wait_for(|stop| *stop == Stop::Now)).await;
}
