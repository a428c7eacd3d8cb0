//! What is said to callers, and how requests end.

mod code;
mod denial;
mod ending;
mod fault;
pub(crate) mod headers;
pub mod problem;

pub use code::Code;
pub use denial::{Binding, Denial, QuotaDenial, Refusal};
pub use ending::Ending;
pub use fault::Fault;
