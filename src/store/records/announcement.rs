//! What a change is about, as the other processes that share the store learn of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::Currency;

/// Of what a customer is or may, only whose it is: it is read anew as a whole. Of counts and money, by how much.
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
    /// A customer, its subscription, its applications or its keys are new or changed.
    Customer {
        /// Which one.
        id: String,
    },
    /// Enforcement is on or off.
    Enforcement,
    /// Money was given.
    Granted {
        /// To whom.
        customer: String,
        /// The grant.
        id: String,
        /// Its number.
        number: u64,
        /// What it is.
        currency: Currency,
        /// When it is drawn on.
        priority: u8,
        /// From when on.
        effective: Timestamp,
        /// Until when.
        expires: Option<Timestamp>,
        /// What is left of it, in nano-units.
        left: i64,
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
    /// A grant has ended.
    Taken {
        /// Whose.
        customer: String,
        /// What it is.
        currency: Currency,
        /// The grant.
        grant: String,
        /// What was left of it, in nano-units.
        nanos: i64,
    },
}
