//! `#[fallback]` says what a function returns when it has failed.

use std::sync::Arc;

use super::call_site::CallSite;
use super::site::{Instance, Policy, Site};
use super::spec::Spec;
use crate::error::Error;
use crate::telemetry::{self, Counted};

/// The static of one `#[fallback]`.
pub type FallbackSite = Site<Fallback>;

/// The arguments of one `#[fallback]`. The runtime needs none of them.
pub type FallbackSpec = Spec<()>;

/// The fallback of one function.
#[derive(Debug)]
pub struct Fallback {
    function: Arc<str>,
}

impl Policy for Fallback {
    const ATTRIBUTE: &'static str = "fallback";
    type Args = ();

    fn bind(call_site: &CallSite, (): ()) -> Result<Self, Error> {
        Ok(Self {
            function: call_site.path().into(),
        })
    }

    fn on_bound(&'static self) {
        Counted::Fallbacks.register(&self.function);
    }
}

impl FallbackSite {
    /// Records that a call returns the fallback.
    pub fn record(&'static self, instance: Instance<()>) {
        if let Ok(fallback) = self.bound(instance) {
            telemetry::fell_back(&fallback.function);
        }
    }
}
