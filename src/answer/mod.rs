//! What is said to callers, and how requests end.

mod body;
mod code;
mod credit;
mod denial;
mod ending;
mod fault;
pub mod grpc;
pub(crate) mod headers;
pub mod page;
pub mod policy;
pub mod problem;
mod quota;

#[cfg(test)]
mod tests;

pub use code::Code;
pub use credit::{CreditDenial, CreditShortage};
pub use denial::{Denial, Refusal};
pub use ending::Ending;
pub use fault::Fault;
pub use quota::{Binding, QuotaDenial};
