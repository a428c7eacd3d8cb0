//! The side towards the upstream: connections, bodies and header fields.

pub mod balance;
pub mod body;
pub mod breaker;
mod budget;
pub mod connection;
pub mod gate;
pub mod headers;
pub mod health;
pub mod http1;
mod http2;
pub mod lane;
pub mod pool;
pub mod standing;
pub mod tls;
