//! HTTP/2 as the gateway speaks it to clients: a connection, and the streams on it.
//!
//! The h2 crate is used directly: hyper's server over it hides when a stream is reset, has no answers ahead of
//! the last one, and leaves out limits. What h2 bounds by itself, its streams and their resets, empty and small
//! pieces of bodies, heads and their continuations, is set here; what it does not bound is counted by the
//! guard, which sees each frame before h2 does.

mod answer;
mod body;
pub(crate) mod frames;
mod guard;
mod head;
mod preface;
mod session;
mod stream;

use std::{pin::pin, rc::Rc};

use bytes::BytesMut;

pub use self::body::Inbound;
pub(super) use self::preface::Preface;
use self::{guard::Guarded, session::Session};
use crate::{
    config::ServerLimits,
    http1::Socket,
    server::clocks,
    worker::{Connection, Worker},
};

/// What a client may send of one body before the gateway has passed it on. Each stream may have as much as one
/// read takes on HTTP/1.1.
const STREAM_WINDOW: u32 = 64 * 1024;

/// The same of all bodies on a connection, which is the most that it holds of them: as much as sixteen uploads
/// that are stuck, before others on the same connection wait for them.
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// What h2 may hold of one answer that the client does not take.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// What h2 counts for each field beside its name and value (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// What is read of a head beyond the limits, so that most heads that are too large are refused like anything
/// else; of those that are larger still the client sees a bare 431, and beyond four times as much the end of
/// the connection. It is less than on HTTP/1.1, because there may be a head for each stream at once.
const HEAD_SLACK: usize = 8 * 1024;

/// Streams that a client may open and reset before they were looked at.
const EARLY_RESETS_MAX: usize = 20;

/// Streams that a client may make the gateway reset in the life of a connection, by what it sends on them.
const PROVOKED_RESETS_MAX: usize = 200;

/// Serves a connection whose preface is all or part of what came.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    socket: &Rc<Socket>,
    received: BytesMut,
    limits: &ServerLimits,
) {
    let guarded = Guarded::new(Rc::clone(socket), Rc::clone(&connection.watch), received);
    let mut session = Session::new(worker, connection, limits, guarded);
    let mut sleep = pin!(tokio::time::sleep(limits.header_timeout));
    connection.watch.change_timer();
    clocks::follow(worker, &connection.watch, |context| session.poll(context, sleep.as_mut()))
        .await;
    // Whatever is left is settled as by a client that has gone, before the connection is.
    session.end_streams().await;
}

/// Gives what h2 goes by.
fn settings(limits: &ServerLimits) -> h2::server::Builder {
    let head_bytes = limits.header_bytes + limits.headers * FIELD_OVERHEAD + HEAD_SLACK;
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.streams)
        // A stream may become a WebSocket (RFC 8441 section 3).
        .enable_connect_protocol()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(EARLY_RESETS_MAX)
        .max_local_error_reset_streams(Some(PROVOKED_RESETS_MAX));
    builder
}
