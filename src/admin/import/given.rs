//! What earlier lines of an import gave a customer, so that a later line does not give it something
//! else: a customer has one name and one subscription, and nothing tells which line is right.
//!
//! Bounded by the customers of the import: some 40 bytes for each, in a tree rather than a hash
//! table, which would for a moment need three times as much whenever it grows.

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
};

use crate::provisioning::{ImportLine, Rejection};

/// What may stand in one line of a customer and not differ in another.
const FIELDS: [&str; 4] = ["plan", "status", "anchor", "name"];

/// What the lines of an import gave so far.
#[derive(Debug, Default)]
pub(super) struct Given {
    hasher: RandomState,
    /// By a digest of the customer's id. Nobody can make two ids collide: the hasher has a key.
    customers: BTreeMap<u64, Entry>,
    /// What a later line than the customer's first gave, by customer and field.
    later: BTreeMap<(u64, u8), (u32, u64)>,
}

/// The first line of a customer.
#[derive(Clone, Copy, Debug)]
struct Entry {
    line: u32,
    /// Digests of what it gave, [`NOTHING`] for what it left out. Where two texts have one digest,
    /// which is so for one pair in four thousand millions, the later line wins.
    prints: [u32; 4],
}

const NOTHING: u32 = 0;

impl Given {
    /// Refuses a line that gives a customer something else than an earlier one.
    pub(super) fn check(&self, line: &ImportLine) -> Result<(), Rejection> {
        let (customer, prints) = self.digests(line);
        let Some(first) = self.customers.get(&customer) else { return Ok(()) };
        let fields = (0..).zip(FIELDS).zip(first.prints.iter().zip(prints));
        for ((index, field), (known, print)) in fields {
            let given = match *known {
                NOTHING => self.later.get(&(customer, index)).copied(),
                known => Some((known, u64::from(first.line))),
            };
            if let Some((known, line)) =
                given.filter(|(known, _)| print != NOTHING && *known != print)
            {
                debug_assert_ne!(known, NOTHING);
                let message = format!("line {line} gave this customer another {field}");
                return Err(Rejection::field(field, message));
            }
        }
        Ok(())
    }

    /// Keeps what a line gave that was imported.
    pub(super) fn keep(&mut self, number: u64, line: &ImportLine) {
        let (customer, prints) = self.digests(line);
        let short = u32::try_from(number).unwrap_or(u32::MAX);
        let first = *self.customers.entry(customer).or_insert(Entry { line: short, prints });
        for (index, (known, print)) in (0..).zip(first.prints.iter().zip(prints)) {
            if *known == NOTHING && print != NOTHING {
                self.later.entry((customer, index)).or_insert((print, number));
            }
        }
    }

    fn digests(&self, line: &ImportLine) -> (u64, [u32; 4]) {
        let ImportLine { customer, name, plan, status, anchor, .. } = line;
        let status = status.map(|status| format!("{status:?}"));
        let anchor = anchor.map(|anchor| anchor.0.to_string());
        let prints = [plan, &status, &anchor, name].map(|text| {
            let Some(text) = text else { return NOTHING };
            // Half of the digest; never the one that stands for nothing.
            u32::try_from(self.hasher.hash_one(text) >> 32).unwrap_or(1).max(1)
        });
        (self.hasher.hash_one(customer), prints)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(customer: &str, plan: Option<&str>, name: Option<&str>) -> ImportLine {
        ImportLine {
            customer: customer.to_owned(),
            plan: plan.map(ToOwned::to_owned),
            name: name.map(ToOwned::to_owned),
            ..ImportLine::default()
        }
    }

    #[test]
    fn later_line_may_repeat_add_and_leave_out_but_not_change() {
        let mut given = Given::default();
        let mut import = |number, line: ImportLine| {
            let checked = given.check(&line).map_err(|error| error.to_string());
            if checked.is_ok() {
                given.keep(number, &line);
            }
            checked
        };
        let told =
            |line, field| Err(format!("{field}: line {line} gave this customer another {field}"));
        assert_eq!(import(2, line("a", Some("pro"), None)), Ok(()));
        assert_eq!(import(3, line("a", Some("pro"), None)), Ok(()));
        assert_eq!(import(4, line("a", None, Some("Ann"))), Ok(()));
        assert_eq!(import(5, line("a", None, None)), Ok(()));
        assert_eq!(import(6, line("b", Some("free"), None)), Ok(()));
        assert_eq!(import(7, line("a", Some("free"), None)), told(2, "plan"));
        assert_eq!(import(8, line("a", Some("pro"), Some("Bob"))), told(4, "name"));
        assert_eq!(import(9, line("b", None, Some("Bob"))), Ok(()));
        assert_eq!(import(10, line("b", Some("free"), Some("Ann"))), told(9, "name"));
    }
}
