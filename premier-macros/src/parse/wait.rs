//! The arguments about waiting.

use proc_macro2::Ident;
use syn::{Error, Expr};

use super::arguments::Arguments;
use super::literal::{Literal, literal};

/// The arguments about waiting, as the user wrote them.
pub(crate) struct WaitArgs {
    pub(crate) wait: Option<Wait>,
    pub(crate) max_waiting: Option<(Ident, Expr)>,
}

/// `wait` or `wait = "2s"`: how long a call may wait to be admitted.
pub(crate) enum Wait {
    Unlimited,
    AtMost(Expr),
}

impl WaitArgs {
    /// An error shows `example` as the duration.
    pub(crate) fn take(arguments: &mut Arguments, example: &str) -> Self {
        let wait = arguments.flag_or_expr("wait", &format!("\"{example}\""));
        Self {
            wait: wait.and_then(|(_, longest)| match longest {
                None => Some(Wait::Unlimited),
                Some(flag) if matches!(literal(&flag), Some(Literal::Other)) => {
                    arguments.errors.push(Error::new_spanned(
                        flag,
                        format!("write `wait` to wait without limit, or `wait = \"{example}\"`"),
                    ));
                    None
                }
                Some(longest) => Some(Wait::AtMost(longest)),
            }),
            max_waiting: arguments.expr("max_waiting"),
        }
    }

    /// All expressions in the arguments.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let longest = match &self.wait {
            Some(Wait::AtMost(longest)) => Some(longest),
            Some(Wait::Unlimited) | None => None,
        };
        let calls = self.max_waiting.as_ref().map(|(_, calls)| calls);
        longest.into_iter().chain(calls)
    }
}
