//! In the edition of 2021, a temporary of the last expression of a body is dropped after the variables of
//! the body and before its arguments. So a body may end with a borrow from an argument, of any shape, under
//! every attribute. The test is that the functions compile.
#![forbid(unsafe_code)]
#![deny(warnings)]

use std::cell::RefCell;
use std::sync::Mutex;

use premier::{Error, cache, circuit_breaker, concurrency, retry, throttle, timeout};

type Number = Result<u32, Error>;

/// Functions whose last expression has a temporary that borrows from an argument.
macro_rules! borrowing {
    ($module:ident: $($attribute:tt)*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $($attribute)*
            pub(super) fn name(cell: Cell) -> Number {
                Ok(*cell.0.borrow())
            }

            $($attribute)*
            pub(super) fn mutable(mut cell: Cell) -> Number {
                *cell.0.get_mut() += 1;
                Ok(*cell.0.borrow())
            }

            $($attribute)*
            pub(super) fn pattern(Cell(cell): Cell) -> Number {
                Ok(*cell.borrow())
            }

            $($attribute)*
            pub(super) async fn asynchronous((lock, _): (Lock, u32)) -> Number {
                Ok(*lock.0.lock().unwrap())
            }

            impl Cell {
                $($attribute)*
                pub(super) fn $module(self) -> Number {
                    Ok(*self.0.borrow())
                }
            }
        }
    };
}

#[derive(Clone)]
struct Cell(RefCell<u32>);

struct Lock(Mutex<u32>);

impl Clone for Lock {
    fn clone(&self) -> Self {
        Self(Mutex::new(*self.0.lock().unwrap()))
    }
}

borrowing!(bare:);
borrowing!(throttled: #[throttle(rate = "1000/s", result)]);
borrowing!(retried: #[retry(result)]);
borrowing!(timed: #[timeout(60, result)]);
borrowing!(cached: #[cache(key = 1, result)]);
borrowing!(broken: #[circuit_breaker(result)]);
borrowing!(concurrent: #[concurrency(limit = 10, result)]);
borrowing!(all:
    #[cache(key = 1, result)]
    #[retry]
    #[circuit_breaker]
    #[concurrency(limit = 10)]
    #[timeout(60)]
    #[throttle(rate = "1000/s")]);

#[test]
fn a_body_may_end_with_a_borrow_from_an_argument() {
    let cell = || Cell(RefCell::new(1));
    macro_rules! returns_what_the_bare_function_does {
        ($($module:ident)*) => {$(
            assert_eq!($module::name(cell()).unwrap(), 1);
            assert_eq!($module::mutable(cell()).unwrap(), 2);
            assert_eq!($module::pattern(cell()).unwrap(), 1);
            assert_eq!(cell().$module().unwrap(), 1);
            drop($module::asynchronous((Lock(Mutex::new(1)), 0)));
        )*};
    }
    returns_what_the_bare_function_does!(
        bare throttled retried timed cached broken concurrent all
    );
}
