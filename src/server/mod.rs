//! The data listener: one acceptor, and workers that share nothing on the request path.

pub mod acceptor;
pub mod books;
pub mod connection;
pub mod watch;
pub mod worker;
