//! What a change is about, as the other processes that share the store learn of it.

use serde::{Deserialize, Serialize};

use crate::model::Currency;

/// Of what a customer is, may or was given, only whose it is: it is read anew as a whole. Of counts and debts, by how
/// much.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Announcement {
    /// Units of an account were given back, or charged.
    Adjusted {
        /// Whose.
        customer: String,
        /// Empty for the customer as a whole.
        scope: String,
        /// The account's name.
        quota: String,
        /// The window's start, in milliseconds.
        start: i64,
        /// Its end.
        end: Option<i64>,
        /// How many are given back (positive) or charged.
        units: i64,
    },
    /// A customer, its subscription, its applications, its keys or its grants are new or changed.
    Customer {
        /// Which one.
        id: String,
    },
    /// Enforcement is on or off.
    Enforcement,
    /// A customer owes more by what was folded of a journal. The memory of the process that wrote it has known that
    /// since the request ended.
    Indebted {
        /// Who.
        customer: String,
        /// In which currency.
        currency: Currency,
        /// How much more, in nano-units.
        nanos: i64,
    },
    /// A customer owes more, or less.
    Owed {
        /// Who.
        customer: String,
        /// In which currency.
        currency: Currency,
        /// How much more, in nano-units.
        nanos: i64,
    },
    /// A customer is gone.
    Removed {
        /// Which one.
        id: String,
        /// Its name in journals.
        name: String,
    },
}
