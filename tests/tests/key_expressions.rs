//! What the expressions of `key`, `keymaker` and `cost` borrow and lock. Time is virtual.
#![forbid(unsafe_code)]

use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use premier::clock::ManualClock;
use premier::{Error, MemoryHandler, throttle};
use premier_tests::waits::{finishes, joined, sleepers};

static CLOCK: LazyLock<ManualClock> = LazyLock::new(|| {
    let clock = ManualClock::new();
    premier::config(MemoryHandler::builder().clock(clock.clone()).build()).unwrap();
    clock
});

static TENANTS: Mutex<[&str; 2]> = Mutex::new(["a", "b"]);

struct Client;

impl Client {
    #[throttle(algo = "token_bucket", rate = "1/h", burst = 1, wait, key = TENANTS.lock().unwrap()[tenant])]
    fn by_key(&self, tenant: usize) -> Result<(), Error> {
        let _ = tenant;
        Ok(())
    }

    #[throttle(algo = "token_bucket", rate = "1/h", burst = 1, wait, keymaker = |_, tenant| TENANTS.lock().unwrap()[*tenant])]
    fn by_keymaker(&self, tenant: usize) -> Result<(), Error> {
        let _ = tenant;
        Ok(())
    }

    #[throttle(algo = "leaky_bucket", rate = "1/h", key = TENANTS.lock().unwrap()[tenant])]
    fn in_a_queue(&self, tenant: usize) -> Result<(), Error> {
        let _ = tenant;
        Ok(())
    }

    #[throttle(algo = "token_bucket", rate = "1/h", burst = 2, wait, key = tenant, cost = TENANTS.lock().unwrap().len() as u64)]
    fn by_cost(&self, tenant: usize) -> Result<(), Error> {
        let _ = tenant;
        Ok(())
    }
}

#[test]
fn a_lock_of_the_key_expression_is_let_go_before_a_sync_call_waits() {
    LazyLock::force(&CLOCK);
    type Call = fn(&Client, usize) -> Result<(), Error>;
    let calls: [Call; 4] = [
        Client::by_key,
        Client::by_keymaker,
        Client::in_a_queue,
        Client::by_cost,
    ];
    for call in calls {
        call(&Client, 0).unwrap();
        let waiter = thread::spawn(move || call(&Client, 0));
        sleepers(&CLOCK, 1);
        let other = finishes("the call of another tenant", move || call(&Client, 1));
        other.unwrap();
        CLOCK.advance(Duration::from_secs(3 * 3_600));
        joined("the waiter", waiter).unwrap().unwrap();
    }
}
