//! The side towards the upstream: connections and header fields.

pub mod headers;
pub mod pool;
