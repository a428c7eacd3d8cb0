//! Requests that the gateway makes of its own accord: to receivers of webhooks and of traces, and to those who settle
//! payments.
//!
//! Nothing here is on the path of a request but of one that is paid for as it comes.

mod client;
mod guard;
mod resolver;
pub(crate) mod retry_after;
mod target;
mod tls;

pub(crate) use client::{Answer, Fault, Kept, Repeat, request};
pub use client::{Client, Timing};
pub use guard::Forbidden;
pub use resolver::{Resolved, Resolver, SystemResolver};
pub use target::{Target, TargetError, Trust};
pub use tls::{Roots, RootsError};
