//! The static of one `#[cache]`, and how a call finds its value.

use std::sync::OnceLock;

use super::bound::{Bound, Known};
use super::caches;
use super::codec::{CacheValue, Codec};
use super::flight::Flight;
use super::search::Search;
use super::spec::CacheSpec;
use crate::key::subject::KeyText;

/// The static of one `#[cache]`.
#[derive(Debug, Default)]
pub struct CacheSite {
    bound: OnceLock<Option<Bound>>,
}

/// A call that looks for its value.
#[derive(Debug)]
pub struct Searching<T>(Stage<T>);

#[derive(Debug)]
enum Stage<T> {
    Found(T),
    Unbound(Codec<T>),
    Search(Search<T>),
}

impl CacheSite {
    /// A site that no call has reached yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bound: OnceLock::new(),
        }
    }

    #[inline]
    fn bound(&'static self, spec: fn() -> CacheSpec) -> Option<&'static Bound> {
        match self.bound.get() {
            Some(bound) => bound.as_ref(),
            None => self.bind(spec),
        }
    }

    #[cold]
    #[inline(never)]
    fn bind(&'static self, spec: fn() -> CacheSpec) -> Option<&'static Bound> {
        // Taken in only once: `get_or_init` runs for one caller.
        let mut new = false;
        let bound = self.bound.get_or_init(|| {
            new = true;
            spec().bind()
        });
        let bound = bound.as_ref()?;
        if new {
            caches().push(bound);
        }
        Some(bound)
    }

    /// Looks for the value of a key: at once if it is at hand.
    #[inline]
    pub fn search<T: CacheValue>(
        &'static self,
        spec: fn() -> CacheSpec,
        codec: Codec<T>,
        key: impl KeyText,
    ) -> Searching<T> {
        let bound = self.bound(spec);
        key.with_user(|key| {
            let (Some(bound), Some(key)) = (bound, key) else {
                return Searching(Stage::Unbound(codec));
            };
            Searching(match bound.fresh(key, codec) {
                Some(value) => {
                    bound.lookups.count(&bound.name, true);
                    Stage::Found(value)
                }
                None => key.with_text(|key| Stage::Search(Search::new(bound, key, codec))),
            })
        })
    }
}

impl<T: CacheValue> Searching<T> {
    /// The value, or the right to compute it; waits on the thread while another computes it.
    ///
    /// # Errors
    /// The value has to be computed.
    #[inline]
    pub fn find(self) -> Result<T, Flight<T>> {
        match self.0 {
            Stage::Found(value) => Ok(value),
            Stage::Unbound(codec) => Err(Flight::unbound(codec)),
            Stage::Search(search) => Self::find_by(search),
        }
    }

    #[inline(never)]
    fn find_by(search: Search<T>) -> Result<T, Flight<T>> {
        if let Some(store) = search.store_while_renewed() {
            let asked = search.asked();
            if let Some(value) = search.old(store.load(search.shared_key()), asked) {
                return Ok(value);
            }
        }
        let (waiter, stale) = match search.board() {
            Ok(value) => return Ok(value),
            Err(boarding) => boarding,
        };
        waiter.turn(search.bound.clock, u64::MAX, || Some(()));
        let mut known = search.look(stale);
        if let (Known::Nothing, Some(store)) = (&known, search.store()) {
            let asked = search.asked();
            known = search.read(store.load(search.shared_key()), asked);
        }
        search.decide(known, waiter)
    }

    /// The same, awaiting.
    ///
    /// # Errors
    /// The value has to be computed.
    pub async fn find_async(self) -> Result<T, Flight<T>> {
        let search = match self.0 {
            Stage::Found(value) => return Ok(value),
            Stage::Unbound(codec) => return Err(Flight::unbound(codec)),
            Stage::Search(search) => search,
        };
        if let Some(store) = search.store_while_renewed() {
            let asked = search.asked();
            let loaded = store.load_async(search.shared_key()).await;
            if let Some(value) = search.old(loaded, asked) {
                return Ok(value);
            }
        }
        let (waiter, stale) = match search.board() {
            Ok(value) => return Ok(value),
            Err(boarding) => boarding,
        };
        waiter
            .turn_async(search.bound.clock, u64::MAX, || Some(()))
            .await;
        let mut known = search.look(stale);
        if let (Known::Nothing, Some(store)) = (&known, search.store()) {
            let asked = search.asked();
            known = search.read(store.load_async(search.shared_key()).await, asked);
        }
        search.decide(known, waiter)
    }
}
