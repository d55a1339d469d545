//! A value in memory with its times.

use std::any::Any;
use std::sync::Arc;

use super::arguments::KeptArguments;
use super::codec::CacheValue;

/// A value in memory. A clone runs no code of the user's, because the cache clones entries under a lock.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: StoredValue,
    /// The value is fresh before this instant; `u64::MAX` if it never expires.
    pub(super) fresh_until: u64,
}

impl Entry {
    /// Whether the value is fresh. A value that never expires does not need the time.
    #[inline]
    pub(super) fn is_fresh(&self, now: impl FnOnce() -> u64) -> bool {
        self.fresh_until == u64::MAX || now() < self.fresh_until
    }
}

/// A value with the arguments of its call, where the key does not contain them.
#[derive(Debug)]
pub(super) struct ValueOfCall {
    arguments: Arc<KeptArguments>,
    value: Box<dyn Any + Send + Sync>,
}

impl ValueOfCall {
    #[cold]
    fn get<T: CacheValue>(&self, is_of: impl FnOnce(Option<&KeptArguments>) -> bool) -> Option<T> {
        match is_of(Some(&self.arguments)) {
            true => self.value.downcast_ref().cloned(),
            false => None,
        }
    }
}

macro_rules! stored_value {
    ($($variant:ident($primitive:ty),)*) => {
        /// A value of any type: a primitive itself, or an `Arc` of everything else.
        #[derive(Clone, Debug)]
        pub(super) enum StoredValue {
            $($variant($primitive),)*
            Shared(Arc<dyn Any + Send + Sync>),
            OfCall(Arc<ValueOfCall>),
        }

        impl StoredValue {
            pub(super) fn new<T: CacheValue>(value: T, arguments: Option<Arc<KeptArguments>>) -> Self {
                if let Some(arguments) = arguments {
                    let value = Box::new(value);
                    return Self::OfCall(Arc::new(ValueOfCall { arguments, value }));
                }
                let any: &dyn Any = &value;
                $(if let Some(value) = any.downcast_ref::<$primitive>() {
                    return Self::$variant(*value);
                })*
                Self::Shared(Arc::new(value))
            }

            /// Returns a clone of the value; `None` if it has another type, or if `is_of` rejects its arguments.
            ///
            /// Call this without any lock held: `T::clone` and the comparison are the user's code.
            #[inline]
            pub(super) fn get<T: CacheValue>(
                &self,
                is_of: impl FnOnce(Option<&KeptArguments>) -> bool,
            ) -> Option<T> {
                if let Self::OfCall(call) = self {
                    return call.get(is_of);
                }
                if !is_of(None) {
                    return None;
                }
                // For a known `T` the compiler resolves these downcasts.
                let any: &dyn Any = match self {
                    $(Self::$variant(value) => return (value as &dyn Any).downcast_ref().cloned(),)*
                    Self::Shared(value) => &**value,
                    Self::OfCall(call) => &*call.value,
                };
                any.downcast_ref().cloned()
            }
        }
    };
}

stored_value! {
    U8(u8), U16(u16), U32(u32), U64(u64), Usize(usize),
    I8(i8), I16(i16), I32(i32), I64(i64), Isize(isize),
    F32(f32), F64(f64), Bool(bool), Char(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_reads_back_as_its_own_type_only() {
        macro_rules! assert_stored {
            ($($value:expr),*) => {$(
                let stored = StoredValue::new($value, None);
                assert!(!matches!(stored, StoredValue::Shared(_)));
                assert_eq!(stored.get(|_| true), Some($value));
                assert_eq!(stored.get::<String>(|_| true), None);
            )*};
        }
        assert_stored![
            1_u8, 2_u16, 3_u32, 4_u64, 5_usize, -1_i8, -2_i16, -3_i32, -4_i64, -5_isize, 1.5_f32,
            2.5_f64, true, 'c'
        ];
        let stored = StoredValue::new("text".to_owned(), None);
        assert_eq!(stored.get(|_| true), Some("text".to_owned()));
        assert_eq!(stored.get::<u64>(|_| true), None);
        assert_eq!(StoredValue::new(4_u64, None).get::<i64>(|_| true), None);
    }
}
