//! The memory handler decides the exact sequences of `tests/data`.

use std::time::Duration;

use premier::MemoryHandler;
use premier_tests::conformance;

#[test]
fn memory_decides_every_sequence_exactly() {
    let compared = conformance::run(Duration::from_nanos(1), |clock| {
        MemoryHandler::builder().clock(clock).build()
    });
    assert_eq!(compared, 59 * 60);
}
