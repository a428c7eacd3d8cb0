//! What is said to callers, and how requests end.

mod ending;

pub use ending::Ending;
