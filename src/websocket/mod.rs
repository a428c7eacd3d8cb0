//! WebSocket (RFC 6455), as far as a gateway reads it: the handshake, where frames begin and end, and where
//! messages do.

mod frames;
mod handshake;
mod head;
mod messages;

pub use self::{
    frames::{
        Frames, GOING_AWAY, INTERNAL_ERROR, POLICY_VIOLATION, PROTOCOL_ERROR, close, close_masked,
    },
    handshake::asks_for,
    messages::{Messages, Step},
};
