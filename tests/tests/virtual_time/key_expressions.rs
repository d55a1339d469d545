//! Borrows and locks of the expressions of `key`, `keymaker` and `cost` end before a call waits.
#![forbid(unsafe_code)]

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use premier::{Error, throttle};
use premier_tests::waits::{finishes, joined, sleepers};

use super::alone;

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
fn a_lock_taken_by_the_key_expression_is_released_before_a_sync_call_waits() {
    let clock = alone();
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
        sleepers(&clock, 1);
        let other = finishes("the call of another tenant", move || call(&Client, 1));
        other.unwrap();
        clock.advance(Duration::from_secs(3 * 3_600));
        joined("the waiter", waiter).unwrap().unwrap();
    }
}
