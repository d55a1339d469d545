//! The arguments of `#[throttle]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, LitStr};

use crate::expand::crate_path::take_crate_path;
use crate::expand::setters::Setters;
use crate::expand::values::by_bound;
use crate::parse::arguments::Arguments;
use crate::parse::errors::Errors;
use crate::parse::function::Function;
use crate::parse::key::KeyArgs;
use crate::parse::limit::LimitArgs;
use crate::parse::settling::SettlingArgs;
use crate::parse::wait::WaitArgs;
use crate::validate::callback::{take_on_reject, take_settle};
use crate::validate::key::check_independent;
use crate::validate::limit::{
    Algorithm, Rate, check_algorithm, check_capacity, check_lease, check_rates, check_sizes,
};

pub(super) const KNOWN: &str = "quota, duration, rate, limits, algo, burst, bucket_size, lease, keymaker, key, cost, settle, max_debt, on_drop, wait, max_waiting, name, on_reject, crate";

/// The arguments as the user wrote them.
pub(super) struct ThrottleArgs {
    limit: LimitArgs,
    pub(super) key: KeyArgs,
    pub(super) cost: Option<Expr>,
    pub(super) settling: SettlingArgs,
    wait: WaitArgs,
    name: Option<LitStr>,
    pub(super) on_reject: Option<Expr>,
    pub(super) crate_path: TokenStream,
}

impl ThrottleArgs {
    pub(super) fn take(arguments: &mut Arguments) -> Self {
        let settle = take_settle(arguments);
        Self {
            settling: SettlingArgs::take(arguments, settle),
            limit: LimitArgs::take(arguments),
            key: KeyArgs::take(arguments),
            cost: arguments.expr("cost").map(|(_, cost)| cost),
            wait: WaitArgs::take(arguments, "2s"),
            name: arguments.text("name"),
            on_reject: take_on_reject(arguments),
            crate_path: take_crate_path(arguments),
        }
    }

    /// Checks the limit and returns its configuration.
    pub(super) fn setters(&self, errors: &mut Errors) -> Setters {
        let mut setters = Setters::default();
        let algo = self.limit.algo.as_ref();
        let algorithm = algo.and_then(|algo| check_algorithm(algo, errors));
        if let Some(name) = &self.name {
            setters.set("name", name);
        }
        if let Some(algo) = algo {
            setters.set("algo", by_bound(algo, "Algorithm", "into_algo"));
        }
        for rate in check_rates(&self.limit, algorithm, errors) {
            match rate {
                Rate::Quota(quota, period) => setters.set("quota", quote!(#quota, #period)),
                Rate::Runtime(rate) => setters.set("rate", rate),
            }
        }
        let sizes = check_sizes(&self.limit, algorithm, errors);
        if let Some(burst) = sizes.burst {
            setters.set("burst", burst);
        }
        if let Some(size) = sizes.bucket_size {
            setters.set("bucket_size", size);
        }
        if let Some(lease) = check_lease(&self.limit, algorithm, errors) {
            setters.set("lease", by_bound(lease, "LeaseSize", "into_lease"));
        }
        // The algorithm may be that of the configuration.
        let may_wait = algorithm.is_none_or(Algorithm::is_queue);
        setters.set_wait(&self.wait, may_wait, errors);
        setters.set_settling(&self.settling, errors);
        check_capacity(&self.limit, algorithm, self.cost.as_ref(), errors);
        setters
    }

    /// Checks that the limit does not depend on the arguments of a call.
    pub(super) fn check_independent(&self, function: &Function, errors: &mut Errors) {
        for expr in self
            .limit
            .exprs()
            .chain(self.wait.exprs())
            .chain(self.settling.max_debt.as_ref().map(|(_, debt)| debt))
        {
            check_independent(expr, function, errors);
        }
    }
}
