//! The arguments of a sync function with `#[timeout]` live on its worker thread until the body has ended.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use premier::{Error, timeout};
use premier_tests::waits::eventually;

static HELD: AtomicBool = AtomicBool::new(false);

struct Permit;

impl Drop for Permit {
    fn drop(&mut self) {
        HELD.store(false, Ordering::SeqCst);
    }
}

static WAS_HELD: Mutex<Option<bool>> = Mutex::new(None);

#[timeout("20ms")]
fn ignores_its_permit(_permit: Permit, go_on: mpsc::Receiver<()>) -> Result<(), Error> {
    let _ = go_on.recv();
    *WAS_HELD.lock().unwrap() = Some(HELD.load(Ordering::SeqCst));
    Ok(())
}

#[test]
fn an_argument_that_the_body_ignores_outlives_the_deadline_with_it() {
    HELD.store(true, Ordering::SeqCst);
    let (go_on, wait) = mpsc::channel();
    assert!(matches!(
        ignores_its_permit(Permit, wait),
        Err(Error::Timeout { .. })
    ));
    assert!(HELD.load(Ordering::SeqCst));
    go_on.send(()).unwrap();
    eventually("the body ends", || WAS_HELD.lock().unwrap().is_some());
    assert_eq!(*WAS_HELD.lock().unwrap(), Some(true));
    eventually("the permit is dropped", || !HELD.load(Ordering::SeqCst));
}

static DROPS: Mutex<Vec<&str>> = Mutex::new(Vec::new());

struct Noted(&'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        DROPS.lock().unwrap().push(self.0);
    }
}

fn bare(_first: Noted, second: Noted, _third: Noted) -> Result<(), Error> {
    let _ = &second;
    Ok(())
}

#[timeout(Duration::from_secs(60))]
fn timed(_first: Noted, second: Noted, _third: Noted) -> Result<(), Error> {
    let _ = &second;
    Ok(())
}

#[test]
fn arguments_are_dropped_in_the_order_of_the_bare_function() {
    let arguments = || (Noted("first"), Noted("second"), Noted("third"));
    let drops = |call: fn(Noted, Noted, Noted) -> Result<(), Error>| {
        let (first, second, third) = arguments();
        call(first, second, third).unwrap();
        eventually("all arguments are dropped", || {
            DROPS.lock().unwrap().len() == 3
        });
        std::mem::take(&mut *DROPS.lock().unwrap())
    };
    assert_eq!(drops(timed), drops(bare));
}
