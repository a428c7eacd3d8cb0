//! What the benches share: a worker without its sockets and the requests that it is asked for, limits,
//! and a journal in a directory of its own.

pub(crate) mod gateway;
pub(crate) mod limits;
pub(crate) mod place;
pub(crate) mod tables;
