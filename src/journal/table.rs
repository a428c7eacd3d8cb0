//! The definitions that are read, each in a place by which records refer to it.
//!
//! Those that say the same share one: each worker's segments define anew what they meet, and what is charged
//! on one is added up in one place. Choice: a number, and no counted reference. There are two records for each
//! request, and the count would be changed for both, far away in memory.

use std::sync::Arc;

use crate::journal::{
    definition::Definition,
    hash::{OwnMap, OwnSet},
};

/// Where a definition stands in the [`Table`] that gave the place.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Place(u32);

/// Definitions of this process, each once. Those that were decoded have texts of their own, and stay apart.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// `None` where nothing stands any more.
    places: Vec<Option<Arc<Definition>>>,
    free: Vec<Place>,
    /// By the places of what they are told apart by, which a definition that is here holds.
    known: OwnMap<[usize; 4], Place>,
}

impl Place {
    /// Gives its number, from 0.
    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Table {
    /// Gives a definition the place of those that say the same, with the first of them, which it may be
    /// itself; `None` when there are more of them than places.
    pub(super) fn put(&mut self, definition: Arc<Definition>) -> Option<(Place, Arc<Definition>)> {
        let Self { places, free, known } = self;
        let parts = definition.parts();
        if let Some(place) = known.get(&parts) {
            let first = places.get(place.index())?.as_ref()?;
            return Some((*place, Arc::clone(first)));
        }
        let place = match free.pop() {
            Some(place) => place,
            None => {
                places.push(None);
                Place(u32::try_from(places.len() - 1).ok()?)
            }
        };
        *places.get_mut(place.index())? = Some(Arc::clone(&definition));
        known.insert(parts, place);
        Some((place, definition))
    }

    /// Gives what stands in a place; `None` when it was swept.
    pub(super) fn get(&self, place: Place) -> Option<&Definition> {
        self.places.get(place.index())?.as_deref()
    }

    /// Forgets those that nobody else holds, as when a segment is gone, but those in use.
    pub(super) fn sweep(&mut self, used: impl Iterator<Item = Place>) {
        let used: OwnSet<Place> = used.collect();
        let Self { places, free, known } = self;
        known.retain(|_, place| {
            let Some(stands) = places.get_mut(place.index()) else { return false };
            let is_held = stands.as_ref().is_some_and(|held| Arc::strong_count(held) > 1);
            let stays = is_held || used.contains(place);
            if !stays {
                *stands = None;
                free.push(*place);
            }
            stays
        });
        let room = known.len() * 2;
        known.shrink_to(room);
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

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
    fn what_says_the_same_has_one_place_and_nothing_else_has() {
        let (mut table, acme) = (Table::default(), definition("k"));
        let other = Definition { key_id: "j".into(), ..acme.clone() };
        let (place, first) = table.put(acme.clone().into()).unwrap();
        let (again, second) = table.put(acme.into()).unwrap();
        assert!(again == place && Arc::ptr_eq(&first, &second));
        assert_ne!(table.put(other.into()).unwrap().0, place);
        // It only reads alike.
        assert_ne!(table.put(definition("k").into()).unwrap().0, place);
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten_and_its_place_given_anew() {
        let mut table = Table::default();
        let (held, _hold) = table.put(definition("held").into()).unwrap();
        let (used, _) = table.put(definition("used").into()).unwrap();
        let (gone, _) = table.put(definition("gone").into()).unwrap();
        table.sweep(iter::once(used));
        let key_id = |place| table.get(place).map(|definition| &*definition.key_id);
        assert_eq!([held, used, gone].map(key_id), [Some("held"), Some("used"), None]);
        assert_eq!(table.put(definition("next").into()).unwrap().0, gone);
        assert_eq!(table.known.len(), 3);
    }
}
