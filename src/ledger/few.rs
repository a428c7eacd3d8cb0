//! A list that is short almost always.

use std::{
    ops::{Deref, DerefMut},
    slice,
};

/// A list that holds a single item itself. On the way of every request a list of one, such as the one
/// rate of a customer, must not cost an allocation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Few<T> {
    /// No item.
    None,
    /// One item.
    One(T),
    /// More than one.
    More(Box<[T]>),
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(item) => slice::from_ref(item),
            Self::More(items) => items,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(item) => slice::from_mut(item),
            Self::More(items) => items,
        }
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut Few<T> {
    type Item = &'a mut T;
    type IntoIter = slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let Some(first) = items.next() else { return Self::None };
        match items.next() {
            None => Self::One(first),
            Some(second) => Self::More([first, second].into_iter().chain(items).collect()),
        }
    }
}
