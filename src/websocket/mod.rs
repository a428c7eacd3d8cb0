//! WebSocket (RFC 6455), as far as a gateway reads it: the handshake, and where frames begin and end.

mod frames;
mod handshake;

pub use self::{
    frames::{Frames, GOING_AWAY, POLICY_VIOLATION, close},
    handshake::asks_for,
};
