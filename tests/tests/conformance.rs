//! The memory handler passes the conformance suite.

use premier::MemoryHandler;
use premier_conformance::Suite;

#[test]
fn memory_decides_every_sequence_exactly() {
    let compared = Suite::new(|clock| MemoryHandler::builder().clock(clock).build()).run();
    assert_eq!(compared, 59 * 60);
}
