//! What is written about requests and about the gateway itself.

pub mod access_log;
pub mod batch;
pub mod figures;
pub mod level;
pub mod messages;
pub mod metrics;
pub mod traces;

use self::{batch::Sink, traces::Record};
use crate::requests;

/// Where workers hand over what they tell about requests; `None` where nothing is kept.
#[derive(Clone, Debug)]
pub struct Sinks {
    /// Lines of the access log.
    pub lines: Option<access_log::Sink>,
    /// Recent requests, which can be explained.
    pub requests: Option<requests::Sink>,
    /// Sampled requests.
    pub records: Option<Sink<Record>>,
}
