//! Who shares the store.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// A node that counts into the store, or did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NodeRecord {
    /// Its identifier, which stands in its journal directory.
    pub id: String,
    /// The number of its last process.
    pub run: u64,
    /// The version of its program.
    pub version: String,
    /// When that process began, by the store's clock.
    pub started_at: Timestamp,
    /// When it last said that it is there, by the store's clock.
    pub seen_at: Timestamp,
    /// What is to be thought of it now.
    pub state: NodeState,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It was seen within the last seconds.
    Live,
    /// It did not say that it stops, and is not seen.
    Silent,
    /// It stopped in order.
    Stopped,
}
