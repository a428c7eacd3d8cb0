//! The side towards the upstream: connections, bodies and header fields.

pub mod balance;
pub mod body;
pub mod connection;
pub mod headers;
pub mod http1;
pub mod pool;
pub mod standing;
