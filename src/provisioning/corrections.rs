//! Corrections that memory is not told of yet. Changes that share a transaction decide by the same memory:
//! what those before gave back is not used any more, and is not to be given back again.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::ledger::{AccountId, Ledger};

/// Those of a gateway. They are few: one transaction's.
#[derive(Debug, Default)]
pub struct Corrections(Mutex<Vec<Pending>>);

#[derive(Debug)]
struct Pending {
    customer: Arc<str>,
    account: AccountId,
    units: i64,
}

/// A correction that is about to be committed. What is dropped before memory is told is not.
#[derive(Debug)]
pub struct Correction {
    among: Arc<Corrections>,
    /// Whose count it is.
    pub customer: Arc<str>,
    /// Which of its accounts.
    pub account: AccountId,
    /// How many are given back (positive) or charged.
    pub units: i64,
    is_pending: Mutex<bool>,
}

impl Corrections {
    /// Begins a correction.
    pub fn begin(self: &Arc<Self>, customer: &str, account: AccountId, units: i64) -> Correction {
        let customer = Arc::<str>::from(customer);
        let pending = Pending { customer: Arc::clone(&customer), account: account.clone(), units };
        self.lock().push(pending);
        Correction { among: Arc::clone(self), customer, account, units, is_pending: true.into() }
    }

    /// Gives what is used, of which memory says this much.
    pub fn used(&self, customer: &str, account: &AccountId, used: u64) -> u64 {
        let known = self.lock();
        let of_it =
            known.iter().filter(|one| *one.customer == *customer && one.account == *account);
        of_it.fold(used, |used, one| used.saturating_add_signed(one.units.saturating_neg()))
    }

    /// What a panic left behind is whole.
    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Correction {
    /// Lets memory know of it.
    pub(super) fn tell(&self, ledger: &Ledger) {
        ledger.customer(&self.customer).adjust(&self.account, self.units);
        self.end();
    }

    fn end(&self) {
        let mut is_pending = self.is_pending.lock().unwrap_or_else(PoisonError::into_inner);
        if !mem::take(&mut *is_pending) {
            return;
        }
        let mut known = self.among.lock();
        let is_it = |one: &Pending| {
            (&one.customer, &one.account, one.units) == (&self.customer, &self.account, self.units)
        };
        if let Some(place) = known.iter().position(is_it) {
            known.swap_remove(place);
        }
    }
}

impl Drop for Correction {
    fn drop(&mut self) {
        self.end();
    }
}
