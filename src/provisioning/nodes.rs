//! Nodes that will not come back.

use super::{Change, Rejection};
use crate::store::records::NodeState;

impl Change<'_> {
    /// Removes a node that is not live. `this` is the one that was asked, which is.
    pub fn forget_node(&mut self, id: &str, this: &str) -> Result<(), Rejection> {
        if id == this {
            return Err(Rejection::NodeIsLive(id.to_owned()));
        }
        let found = self.records.forget_node(id)?;
        let before = found.ok_or_else(|| Rejection::not_found("node", id))?;
        if before.state == NodeState::Live {
            return Err(Rejection::NodeIsLive(id.to_owned()));
        }
        if before.holds.accounts > 0 {
            return Err(Rejection::NodeHolds(id.to_owned()));
        }
        self.audit("node.forget", None, id, Some(&before), None::<&()>)
    }
}
