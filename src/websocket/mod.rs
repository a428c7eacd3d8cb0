//! WebSocket (RFC 6455, and RFC 8441 on streams of HTTP/2), as far as a gateway reads it: the handshake,
//! where frames begin and end, and where messages do.

mod frames;
mod handshake;
mod head;
mod messages;

pub use self::{
    frames::{
        Frames, GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, PROTOCOL_ERROR, close, close_masked,
    },
    handshake::{Accept, asks_for, is_accepted, is_on_stream, open_on_stream},
    messages::{Messages, Step},
};
