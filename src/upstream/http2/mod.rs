//! HTTP/2 as the gateway speaks it to an upstream (RFC 9113): many requests at once on a connection.

mod connection;
mod head;
mod probe;
mod pulse;
mod stream;
mod upload;

pub(in crate::upstream) use self::{
    connection::Shared,
    probe::{Whole, status, whole},
    stream::Stream,
};
