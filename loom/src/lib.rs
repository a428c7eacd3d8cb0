//! The gateway's ledger, with a model checker's lock in the place of its own: see `tests/ledger.rs`.

#[path = "../../src/model/duration.rs"]
pub mod duration;
#[path = "../../src/ledger/mod.rs"]
pub mod ledger;
#[path = "../../src/model/money.rs"]
pub mod money;

/// What the ledger needs of the nouns.
pub mod model {
    pub use crate::{
        duration,
        money::{Currency, Money, Nanos},
    };
}
