//! The key of a value in memory.

use std::any::TypeId;
use std::hash::{Hash, Hasher};

use quick_cache::Equivalent;

use crate::key::subject::Subject;

/// The owned key of a value. It includes the type of the value, because instances of one generic
/// function may return different types.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct CacheKey {
    value_type: TypeId,
    subject: OwnedSubject,
}

/// The owned form of a canonical [`Subject`].
#[derive(Debug, Eq, PartialEq)]
enum OwnedSubject {
    Number(u64),
    Text(Box<str>),
}

/// The borrowed form of [`CacheKey`], for lookups that do not allocate.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheKeyRef<'a> {
    value_type: TypeId,
    subject: Subject<'a>,
}

impl<'a> CacheKeyRef<'a> {
    #[inline]
    pub(super) fn new(value_type: TypeId, subject: Subject<'a>) -> Self {
        Self {
            value_type,
            subject: subject.canonical(),
        }
    }
}

impl From<CacheKeyRef<'_>> for CacheKey {
    fn from(key: CacheKeyRef<'_>) -> Self {
        Self {
            value_type: key.value_type,
            subject: match key.subject {
                Subject::Number(number) => OwnedSubject::Number(number),
                Subject::Text(text) => OwnedSubject::Text(text.into()),
            },
        }
    }
}

impl Hash for CacheKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let subject = match &self.subject {
            OwnedSubject::Number(number) => Subject::Number(*number),
            OwnedSubject::Text(text) => Subject::Text(text),
        };
        subject.hash(state);
    }
}

impl Hash for CacheKeyRef<'_> {
    /// Hashes the subject only: most functions return one type, and `Equivalent` compares the types
    /// of the others.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.subject.hash(state);
    }
}

impl Equivalent<CacheKey> for CacheKeyRef<'_> {
    #[inline]
    fn equivalent(&self, other: &CacheKey) -> bool {
        self.value_type == other.value_type
            && match (self.subject, &other.subject) {
                (Subject::Number(one), OwnedSubject::Number(other)) => one == *other,
                (Subject::Text(one), OwnedSubject::Text(other)) => one == &**other,
                _ => false,
            }
    }
}
