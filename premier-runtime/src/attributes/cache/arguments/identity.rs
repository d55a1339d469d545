//! Arguments that are compared by their value.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt::{self, Debug, Formatter};
use std::hash::Hash;
use std::sync::LazyLock;

use ahash::RandomState;

use super::part::{KeptPart, Part, TextPart};
use super::probe::{ArgumentText, Json, WriteText};
use crate::key::hasher::secret_hasher;

/// An argument that can be part of the default key of a cache: text, an integer, a `bool` or a `char`, and a
/// reference to a value that is `Hash + Eq + Clone + Send + Sync + 'static`, or becomes one by [`ToOwned`]. An argument by value counts by the reference to it.
#[diagnostic::on_unimplemented(
    message = "this argument cannot be part of a cache's key: `{Self}`",
    label = "is not `Hash + Eq + Clone + Send + Sync + 'static`",
    note = "without `key = …` the key of #[cache] is the value of all arguments: give `key = …` over those that matter"
)]
pub trait KeyArgument<'a, T: ?Sized> {
    /// For expansions.
    #[doc(hidden)]
    type Part: Part;

    /// For expansions.
    #[doc(hidden)]
    fn part(self, text: ArgumentText<'a, T>, json: Option<Json<T>>) -> Self::Part;
}

#[diagnostic::do_not_recommend]
impl<'a, T: ?Sized> KeyArgument<'a, T> for TextPart<'a> {
    type Part = Self;

    #[inline]
    fn part(self, _: ArgumentText<'a, T>, _: Option<Json<T>>) -> Self {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<'a, T: ?Sized + 'a, U: ?Sized + Any + Hash + Eq + ToOwned<Owned: Any + Send + Sync>>
    KeyArgument<'a, T> for &'a U
{
    type Part = IdentityPart<'a, T, U>;

    fn part(
        self,
        ArgumentText(argument, text): ArgumentText<'a, T>,
        json: Option<Json<T>>,
    ) -> IdentityPart<'a, T, U> {
        IdentityPart {
            argument,
            value: self,
            text,
            json,
            hash,
            is_equal,
            keep: |value| Box::new(Kept::<U>(value.to_owned())),
        }
    }
}

/// A value that a cache can keep and compare.
trait Identity: Any + Hash + Eq + ToOwned<Owned: Any + Send + Sync> {}

impl<T: ?Sized + Any + Hash + Eq + ToOwned<Owned: Any + Send + Sync>> Identity for T {}

/// A copy of an argument.
struct Kept<T: ToOwned + ?Sized>(T::Owned);

impl<T: Identity + ?Sized> KeptPart for Kept<T> {
    fn is_equal_to(&self, other: &dyn KeptPart) -> bool {
        is_equal::<T>(self.0.borrow(), other)
    }
}

fn is_equal<T: Identity + ?Sized>(argument: &T, kept: &dyn KeptPart) -> bool {
    let kept: &dyn Any = kept;
    kept.downcast_ref::<Kept<T>>()
        .is_some_and(|kept| kept.0.borrow() == argument)
}

/// Any other argument: `T` is its type, and `U` the type that it refers to, or `T` itself.
// With functions instead of bounds, so that the compiler reports an argument that lacks one once.
pub struct IdentityPart<'a, T: ?Sized, U: ?Sized> {
    argument: &'a T,
    value: &'a U,
    text: Option<WriteText<T>>,
    json: Option<Json<T>>,
    hash: fn(&U) -> u64,
    is_equal: fn(&U, &dyn KeptPart) -> bool,
    keep: fn(&U) -> Box<dyn KeptPart>,
}

impl<T: ?Sized, U: ?Sized> Part for IdentityPart<'_, T, U> {
    fn write(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if let Some(write) = self.text {
            return write(self.argument, formatter);
        }
        match self.json() {
            Some(json) => formatter.write_str(&json),
            None => write!(formatter, "#{:016x}", self.hash()),
        }
    }

    fn is_equal(&self, kept: &dyn KeptPart) -> bool {
        (self.is_equal)(self.value, kept)
    }

    fn hash(&self) -> u64 {
        (self.hash)(self.value)
    }

    fn keep(&self) -> Box<dyn KeptPart> {
        (self.keep)(self.value)
    }

    fn json(&self) -> Option<String> {
        self.json.and_then(|json| json(self.argument))
    }
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(secret_hasher);
    HASHER.hash_one(value)
}

impl<T: ?Sized, U: ?Sized> Debug for IdentityPart<'_, T, U> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IdentityPart")
            .finish_non_exhaustive()
    }
}
