//! Waiting for a permit of `#[concurrency]` is first come, first served, for threads and tasks.
#![forbid(unsafe_code)]

use std::sync::{Mutex, mpsc};
use std::thread;

use premier::{Error, concurrency};
use premier_tests::waits::{LONGEST, cancelled, done, joined, received, sleepers, within};
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task;

use super::{CLOCK, alone};

async fn settle() {
    for _ in 0..50 {
        task::yield_now().await;
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn tasks_receive_a_permit_in_the_order_of_their_arrival() {
    static END: Notify = Notify::const_new();
    #[concurrency(limit = 1, wait)]
    async fn run(ran: tokio::sync::mpsc::UnboundedSender<u32>, nth: u32) -> Result<(), Error> {
        ran.send(nth).unwrap();
        END.notified().await;
        Ok(())
    }
    let _turn = alone();
    let (ran, mut order) = unbounded_channel();
    let mut tasks = Vec::new();
    for nth in 0..5 {
        tasks.push(task::spawn(run(ran.clone(), nth)));
        settle().await;
    }
    // A waiter in the middle leaves.
    cancelled("the third", tasks.remove(2)).await;
    for expected in [0, 1, 3, 4] {
        let next = within("the next runs", order.recv()).await;
        assert_eq!(next, Some(expected));
        settle().await;
        assert!(order.try_recv().is_err(), "only one runs at a time");
        END.notify_one();
    }
    for task in tasks {
        done("a call", task).await.unwrap();
    }
}

#[test]
fn threads_receive_a_permit_in_the_order_of_their_arrival() {
    static END: Mutex<Option<mpsc::Receiver<()>>> = Mutex::new(None);
    #[concurrency(limit = 1, wait)]
    fn run(ran: &mpsc::Sender<u32>, nth: u32) -> Result<(), Error> {
        ran.send(nth).unwrap();
        let end = END.lock().unwrap();
        end.as_ref().unwrap().recv_timeout(LONGEST).unwrap();
        Ok(())
    }
    let _turn = alone();
    let (end, ended) = mpsc::channel();
    *END.lock().unwrap() = Some(ended);
    let (ran, order) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|nth| {
            let ran = ran.clone();
            let thread = thread::spawn(move || run(&ran, nth));
            // The first thread runs. Each other thread sleeps once it has its position in the
            // queue.
            sleepers(&CLOCK, nth as usize);
            if nth == 0 {
                assert_eq!(received("the first runs", &order), 0);
            }
            thread
        })
        .collect();
    for expected in 1..4 {
        end.send(()).unwrap();
        assert_eq!(received("the next runs", &order), expected);
    }
    end.send(()).unwrap();
    for thread in threads {
        joined("a call", thread).unwrap().unwrap();
    }
}

/// The permit is free until the next waiter in the queue is polled.
#[tokio::test]
#[allow(clippy::await_holding_lock)]
async fn a_later_call_does_not_overtake_a_waiter() {
    static END: Notify = Notify::const_new();
    #[concurrency(limit = 1, wait)]
    async fn run(first: bool) -> Result<(), Error> {
        if first {
            END.notified().await;
        }
        Ok(())
    }
    let _turn = alone();
    let mut first = Box::pin(run(true));
    let mut second = Box::pin(run(false));
    let mut third = Box::pin(run(false));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    drop(first);
    assert!(third.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_ready());
    within("the third", third).await.unwrap();
}
