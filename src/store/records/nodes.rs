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
    /// What it has of accounts that all nodes share.
    pub holds: NodeHolds,
    /// Whether it does what is done once for all nodes.
    pub leads: bool,
}

/// What a node has of accounts that all nodes share, as far as it said so.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, ToSchema)]
pub struct NodeHolds {
    /// Accounts, grants among them, of which it may charge something without asking.
    pub accounts: u64,
    /// What it may charge of quotas together, with what requests in flight hold.
    pub units: u64,
    /// What of quotas counts as used because it is silent.
    pub forfeited: u64,
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
