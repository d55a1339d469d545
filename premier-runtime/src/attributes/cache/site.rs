//! The static of one `#[cache]`, and how a call finds its value.

use super::arguments::{Arguments, KeptArguments, Part};
use super::codec::{CacheValue, Codec};
use super::failure::Failures;
use super::flight::{Flight, Missed};
use super::load::Load;
use super::lookup::{Lookup, Step};
use super::spec::{CacheArgs, CachePolicy};
use crate::attributes::site::{Instance, Site};
use crate::key::subject::IntoSubject;
use crate::sync_future::SyncFuture;

/// The static of one `#[cache]`. An invalid argument disables the cache.
pub type CacheSite = Site<CachePolicy>;

/// A call of a cached function that looks for its value.
#[derive(Debug)]
pub struct CacheCall<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Hit(T),
    Disabled(Codec<T>),
    Miss(Lookup<T>),
}

impl CacheSite {
    /// Looks for the value of a key. A fresh value in memory is found here, without allocating.
    #[inline]
    pub fn search<T: CacheValue>(
        &'static self,
        instance: Instance<CacheArgs>,
        codec: Codec<T>,
        key: impl IntoSubject,
    ) -> CacheCall<T> {
        self.search_for(instance, codec, key, Arguments::NONE, |kept| kept.is_none())
    }

    /// Looks for the value of a call with this argument, as [`CacheSite::search`] does.
    // Apart from several arguments: text and numbers, which most keys are, are found without formatting.
    #[inline]
    pub fn search_by_argument<T: CacheValue>(
        &'static self,
        instance: Instance<CacheArgs>,
        codec: Codec<T>,
        argument: &impl Part,
    ) -> CacheCall<T> {
        match argument.subject() {
            Some(subject) => self.search(instance, codec, subject),
            None => self.search_by_arguments(instance, codec, Arguments(&[argument])),
        }
    }

    /// Looks for the value of a call with these arguments, as [`CacheSite::search`] does.
    #[inline]
    pub fn search_by_arguments<T: CacheValue>(
        &'static self,
        instance: Instance<CacheArgs>,
        codec: Codec<T>,
        arguments: Arguments<'_>,
    ) -> CacheCall<T> {
        self.search_for(instance, codec, arguments, arguments, |kept| match kept {
            Some(kept) => kept.are_equal_to(&arguments),
            None => arguments.are_text(),
        })
    }

    #[inline]
    fn search_for<T: CacheValue>(
        &'static self,
        instance: Instance<CacheArgs>,
        codec: Codec<T>,
        key: impl IntoSubject,
        arguments: Arguments<'_>,
        is_of_call: impl FnOnce(Option<&KeptArguments>) -> bool,
    ) -> CacheCall<T> {
        let policy = self.bound(instance).ok();
        key.with_subject(|key| {
            let (Some(CachePolicy(cache)), Some(key)) = (policy, key) else {
                return CacheCall(State::Disabled(codec));
            };
            CacheCall(match cache.hit(*key, is_of_call, codec) {
                Some(value) => {
                    cache.record_lookup(true);
                    State::Hit(value)
                }
                None => {
                    key.with_text(|key| State::Miss(Lookup::new(cache, key, &arguments, codec)))
                }
            })
        })
    }
}

impl<T: CacheValue> CacheCall<T> {
    /// Returns the value. Blocks the thread while another caller computes it.
    ///
    /// # Errors
    /// The value has to be computed: returns the right to do so. Or the other caller has failed to compute it.
    #[inline]
    pub fn find<O>(self, failures: Failures<O>) -> Result<T, Missed<T, O>> {
        match self.0 {
            State::Hit(value) => Ok(value),
            State::Disabled(codec) => Err(Missed::Compute(Flight::disabled(codec))),
            State::Miss(lookup) => Self::find_missed(lookup, failures),
        }
    }

    /// Everything but a hit.
    fn find_missed<O>(mut lookup: Lookup<T>, failures: Failures<O>) -> Result<T, Missed<T, O>> {
        if let Some(store) = lookup.store_of_stale() {
            let loaded = store.load(lookup.store_key());
            if let Some(value) = lookup.read_stale(loaded) {
                return Ok(value);
            }
        }
        let place = loop {
            let place = match lookup.join_flight() {
                Ok(place) => place,
                Err(value) => return Ok(value),
            };
            let turn = place.wait(lookup.cache.clock, lookup.deadline);
            match lookup.step(place, turn, failures) {
                Step::Return(result) => return result.map_err(Missed::Failed),
                Step::Again => {}
                Step::Load(place) => break place,
            }
        };
        let mut load = Load::new(lookup, place);
        while let Some((store, stale)) = load.next_request() {
            let answer = store.load_or_begin(load.store_key(), stale);
            load.read(answer, stale);
        }
        load.finish()
    }

    /// Returns the value. Waits while another caller computes it.
    ///
    /// # Errors
    /// The value has to be computed: returns the right to do so. Or the other caller has failed to compute it.
    pub async fn find_async<O>(self, failures: Failures<O>) -> Result<T, Missed<T, O>> {
        let mut lookup = match self.0 {
            State::Hit(value) => return Ok(value),
            State::Disabled(codec) => return Err(Missed::Compute(Flight::disabled(codec))),
            State::Miss(lookup) => lookup,
        };
        if let Some(store) = lookup.store_of_stale() {
            let loaded = SyncFuture::new(store.load_async(lookup.store_key())).await;
            if let Some(value) = lookup.read_stale(loaded) {
                return Ok(value);
            }
        }
        let place = loop {
            let place = match lookup.join_flight() {
                Ok(place) => place,
                Err(value) => return Ok(value),
            };
            let turn = place.wait_async(lookup.cache.clock, lookup.deadline).await;
            match lookup.step(place, turn, failures) {
                Step::Return(result) => return result.map_err(Missed::Failed),
                Step::Again => {}
                Step::Load(place) => break place,
            }
        };
        let mut load = Load::new(lookup, place);
        while let Some((store, stale)) = load.next_request() {
            let answer = store.load_or_begin_async(load.store_key(), stale);
            let answer = SyncFuture::new(answer).await;
            load.read(answer, stale);
        }
        load.finish()
    }
}
