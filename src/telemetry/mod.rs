//! What is written about requests and about the gateway itself.

pub mod access_log;
pub mod batch;
pub mod level;
pub mod messages;
