use premier::timeout;
use std::rc::Rc;

#[timeout(60)]
fn count(list: Rc<u32>) -> u32 {
    *list
}

fn main() {}
