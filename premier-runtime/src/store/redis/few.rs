//! Lists that mostly have one element.

use std::ops::{Deref, DerefMut};
use std::slice;

/// A list that needs no allocation of its own for one element.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut elements = elements.into_iter();
        match (elements.next(), elements.next()) {
            (Some(only), None) => Self::One(only),
            (first, second) => {
                Self::Many(first.into_iter().chain(second).chain(elements).collect())
            }
        }
    }
}

impl<T> Few<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(element) => vec![element],
            Self::Many(elements) => elements,
        }
    }
}

impl<T: Copy> Few<T> {
    pub(super) fn of(elements: &[T]) -> Self {
        match elements {
            [element] => Self::One(*element),
            _ => Self::Many(elements.to_vec()),
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(element) => slice::from_ref(element),
            Self::Many(elements) => elements,
        }
    }
}

impl<T> DerefMut for Few<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(element) => slice::from_mut(element),
            Self::Many(elements) => elements,
        }
    }
}
