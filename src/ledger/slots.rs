//! A list whose items keep their places, so that a place may be remembered in their stead.

/// Items in numbered places; a place that falls free is given to the next item.
#[derive(Debug)]
pub(super) struct Slots<T>(Vec<Option<T>>);

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts an item into the first free place and gives the place.
    pub(super) fn insert(&mut self, item: T) -> usize {
        if let Some(free) = self.0.iter().position(Option::is_none) {
            if let Some(place) = self.0.get_mut(free) {
                *place = Some(item);
            }
            return free;
        }
        // Most customers have one or two quotas, and there may be a million of them.
        if self.0.len() < 4 {
            self.0.reserve_exact(1);
        }
        self.0.push(Some(item));
        self.0.len().saturating_sub(1)
    }

    /// Takes out the items that are not to stay. The others stay where they are.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(usize, &T) -> bool) {
        for (place, item) in self.0.iter_mut().enumerate() {
            if item.as_ref().is_some_and(|item| !stays(place, item)) {
                *item = None;
            }
        }
        while self.0.pop_if(|last| last.is_none()).is_some() {}
    }

    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.0.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut T> {
        self.0.get_mut(place)?.as_mut()
    }

    /// Finds the place of the first item that is meant.
    pub(super) fn position(&self, is_meant: impl Fn(&T) -> bool) -> Option<usize> {
        self.0.iter().position(|item| item.as_ref().is_some_and(&is_meant))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }
}
