//! Recent requests: what was decided about each, by which numbers, and how it ended, kept for some days.
//!
//! A worker writes a record of some 80 bytes into a buffer that is handed over as the access log's is;
//! a thread appends it to files beside the journal. Nothing here holds a request up: what cannot be
//! written is dropped and counted. It is not the ledger: a crash loses what was not written, and what was
//! is read by people only.

mod collector;
mod definition;
mod entry;
mod files;
mod find;
mod frame;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod record;
mod trail;
mod wire;
mod writer;

pub use self::{
    collector::{Collector, Sink},
    definition::{CallerFacts, RouteFacts},
    entry::Entry,
    find::Archive,
    record::Record,
    trail::{Answer, Decided, Paying, Trail},
    writer::{Writer, start},
};

#[cfg(test)]
mod tests;
