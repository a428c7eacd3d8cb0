//! A list that is short almost always.

/// A list that holds its first item itself. On the way of every request a list of one, such as the one
/// rate of a customer, must not cost an allocation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Few<T> {
    first: Option<T>,
    rest: Box<[T]>,
}

impl<T> Few<T> {
    /// Gives the first item.
    pub fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// Gives the item of this index.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.iter().nth(index)
    }

    /// Lists the items.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(self.rest.iter())
    }

    /// Lists the items, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(self.rest.iter_mut())
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let first = items.next();
        Self { first, rest: items.collect() }
    }
}
