//! One definition for all that say the same: each worker's segments define anew what they meet, and what is
//! charged on one is added up in one place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::{definition::Definition, hash::OwnMap};

/// Definitions of this process, each once. Those that were decoded have texts of their own, and stay apart.
#[derive(Debug, Default)]
pub(super) struct Alike(Mutex<Known>);

/// By the places of what they are told apart by, which a definition that is here holds.
type Known = OwnMap<[usize; 4], Arc<Definition>>;

impl Alike {
    /// Gives the first definition that says the same as this one, which it may be itself.
    pub(super) fn one(&self, definition: Arc<Definition>) -> Arc<Definition> {
        Arc::clone(self.lock().entry(definition.parts()).or_insert(definition))
    }

    /// Forgets those that nobody else has any more, as when a segment is gone.
    pub(super) fn sweep(&self) {
        let mut known = self.lock();
        known.retain(|_, definition| Arc::strong_count(definition) > 1);
        let room = known.len() * 2;
        known.shrink_to(room);
    }

    /// A panic while the lock was held left a table behind that is still right.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::AccountSet;

    fn definition(key_id: &str) -> Definition {
        let set = AccountSet { id: 1, customer: "acme".into(), accounts: Vec::new() };
        Definition {
            set: set.into(),
            draw: None,
            application: None,
            key_id: key_id.into(),
            plan: None,
            route: "r".into(),
        }
    }

    #[test]
    fn what_says_the_same_is_one_and_nothing_else_is() {
        let (alike, acme) = (Alike::default(), definition("k"));
        let other = Definition { key_id: "j".into(), ..acme.clone() };
        let one = alike.one(acme.clone().into());
        assert!(Arc::ptr_eq(&one, &alike.one(acme.into())));
        assert!(!Arc::ptr_eq(&one, &alike.one(other.into())));
        // It only reads alike.
        assert!(!Arc::ptr_eq(&one, &alike.one(definition("k").into())));
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let alike = Alike::default();
        let kept = alike.one(definition("kept").into());
        alike.one(definition("k").into());
        alike.sweep();
        assert_eq!(alike.lock().keys().collect::<Vec<_>>(), [&kept.parts()]);
        assert!(Arc::ptr_eq(&kept, &alike.one(Arc::new((*kept).clone()))));
    }
}
