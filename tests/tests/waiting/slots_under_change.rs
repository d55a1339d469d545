//! A bucket whose callers join, leave and change the limit while they wait admits no more than its rate, loses no
//! slot, and keeps their order.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use premier::clock::{Clock, ManualClock};
use premier::{Error, Limit, MemoryHandler, Throttle, limits};

const SECOND: Duration = Duration::from_secs(1);

struct Caller {
    number: u64,
    cost: u64,
    call: Pin<Box<dyn Future<Output = Result<(), Error>>>>,
}

struct Simulation {
    random: fastrand::Rng,
    clock: ManualClock,
    name: String,
    throttle: Throttle,
    callers: Vec<Caller>,
    joined: u64,
    /// Seconds between units.
    interval: u64,
    burst: u64,
    /// When units were taken by callers that were admitted, in nanoseconds.
    admitted: Vec<(u64, u64, u64)>,
    /// Units that were given back, with the time.
    refunds: Vec<u64>,
}

impl Simulation {
    fn new(seed: u64, limit: fn(u64, u64) -> Limit) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let (clock, burst) = (ManualClock::new(), random.u64(1..4));
        let memory = MemoryHandler::builder().clock(clock.clone()).build();
        let name = format!("simulated {seed} {:?}", limit(1, burst).algo());
        let throttle = Throttle::new(&name, limit(1, burst))
            .with_config(memory)
            .wait();
        Self {
            random,
            clock,
            name,
            throttle,
            callers: Vec::new(),
            joined: 0,
            interval: 1,
            burst,
            admitted: Vec::new(),
            refunds: Vec::new(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now()
    }

    fn join(&mut self, cost: u64) {
        let throttle = self.throttle.cost(cost);
        let call = async move { throttle.acquire_async("k").await.map(drop) };
        self.joined += 1;
        self.callers.push(Caller {
            number: self.joined,
            cost,
            call: Box::pin(call),
        });
        self.poll();
    }

    /// Polls all callers, in any order, until none gets further.
    fn poll(&mut self) {
        loop {
            let before = self.callers.len();
            self.random.shuffle(&mut self.callers);
            let (now, admitted) = (self.clock.now(), &mut self.admitted);
            self.callers.retain_mut(|caller| {
                let mut context = Context::from_waker(Waker::noop());
                match caller.call.as_mut().poll(&mut context) {
                    Poll::Pending => true,
                    Poll::Ready(result) => {
                        result.unwrap();
                        admitted.push((now, caller.number, caller.cost));
                        false
                    }
                }
            });
            if self.callers.len() == before {
                return;
            }
        }
    }

    fn leave(&mut self) {
        if !self.callers.is_empty() {
            let index = self.random.usize(..self.callers.len());
            drop(self.callers.remove(index));
            self.poll();
        }
    }

    fn refund(&mut self) {
        self.throttle.refund("k", 1).unwrap();
        self.refunds.push(self.now());
        self.poll();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now() + time.as_nanos() as u64;
        // In steps, as callers sleep until their slots.
        while self.now() < end {
            let left = Duration::from_nanos(end - self.now());
            self.clock.advance(left.min(SECOND / 2));
            self.poll();
        }
    }

    fn waiting_units(&self) -> u64 {
        self.callers.iter().map(|caller| caller.cost).sum()
    }

    /// Asserts that in no span of time were more units admitted than the bucket holds and gains in it.
    fn assert_rate(&self) {
        for (index, (from, ..)) in self.admitted.iter().enumerate() {
            let mut units = 0;
            for (until, _, cost) in &self.admitted[index..] {
                units += cost;
                let refunds = self.refunds.iter().filter(|at| *at <= until).count() as u64;
                let seconds = Duration::from_nanos(until - from).as_secs_f64();
                let refilled = seconds / self.interval as f64;
                let most = (self.burst + refunds) as f64 + refilled + 1e-6;
                assert!(units as f64 <= most, "{units} of {most} in {seconds} s");
            }
        }
    }
}

fn token_bucket(interval: u64, burst: u64) -> Limit {
    Limit::token_bucket(1, Duration::from_secs(interval)).burst(burst)
}

fn leaky_bucket(interval: u64, _: u64) -> Limit {
    Limit::leaky_bucket(1, Duration::from_secs(interval)).bucket_size(3)
}

#[test]
fn callers_that_come_and_go_neither_exceed_the_rate_nor_lose_slots() {
    for (seed, limit) in
        (0..300).flat_map(|seed| [(seed, token_bucket as fn(_, _) -> _), (seed, leaky_bucket)])
    {
        let mut simulation = Simulation::new(seed, limit);
        let largest = if seed % 3 == 0 {
            2.min(simulation.burst)
        } else {
            1
        };
        for _ in 0..60 {
            match simulation.random.u32(..10) {
                0..5 => {
                    let cost = simulation.random.u64(1..=largest);
                    simulation.join(cost);
                }
                5 | 6 => simulation.leave(),
                7 if seed % 5 == 0 => simulation.refund(),
                _ => {
                    let time = simulation.random.u32(..4) * SECOND / 2;
                    simulation.pass(time);
                }
            }
        }
        simulation.assert_rate();
        // All that wait are admitted in the time that their units take, and one that was admitted just now.
        let units = simulation.waiting_units() + simulation.burst + 3;
        simulation.pass(Duration::from_secs(units));
        assert!(
            simulation.callers.is_empty(),
            "seed {seed}: {} wait",
            simulation.callers.len()
        );
        simulation.assert_rate();
        if largest == 1 {
            let order: Vec<u64> = simulation
                .admitted
                .iter()
                .map(|(_, number, _)| *number)
                .collect();
            let mut sorted = simulation.admitted.clone();
            sorted.sort_by_key(|(at, number, _)| (*at, *number));
            let sorted: Vec<u64> = sorted.iter().map(|(_, number, _)| *number).collect();
            assert!(sorted.is_sorted(), "seed {seed}: {order:?}");
        }
    }
}

#[test]
fn callers_are_admitted_in_time_however_often_the_limit_changes() {
    for (seed, limit) in
        (0..200).flat_map(|seed| [(seed, token_bucket as fn(_, _) -> _), (seed, leaky_bucket)])
    {
        let mut simulation = Simulation::new(seed + 1_000, limit);
        let mut slowest = 1;
        for _ in 0..40 {
            match simulation.random.u32(..10) {
                0..4 => simulation.join(1),
                4 => simulation.leave(),
                5 | 6 => {
                    let interval = *simulation.random.choice(&[1, 2, 5, 3_600][..]).unwrap();
                    slowest = slowest.max(interval);
                    let changed = limit(interval, simulation.burst);
                    limits::set(&simulation.name, changed).unwrap();
                    simulation.interval = interval;
                    simulation.poll();
                }
                _ => {
                    let time = simulation.random.u32(..4) * SECOND / 2;
                    simulation.pass(time);
                }
            }
        }
        limits::set(&simulation.name, limit(1, simulation.burst)).unwrap();
        simulation.poll();
        // What is owed for calls that were admitted is at most a full bucket of the limit in force.
        let units = simulation.waiting_units() + simulation.burst + 5;
        simulation.pass(Duration::from_secs(units));
        assert!(
            simulation.callers.is_empty(),
            "seed {seed}: {} wait",
            simulation.callers.len()
        );
    }
}

/// Both reserve slots of one state: a call that finds slots of the other limit sleeps until its own.
#[test]
fn throttles_that_share_a_name_and_not_their_limit_wait_side_by_side() {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    let throttle = |period| {
        let limit = Limit::token_bucket(1, period);
        let throttle = Throttle::new("shared by two limits", limit);
        throttle.with_config(memory.clone()).wait()
    };
    let (slow, fast) = (throttle(10 * SECOND), throttle(SECOND));
    slow.acquire("k").unwrap();
    let mut calls = [&slow, &fast, &fast].map(|throttle| Box::pin(throttle.acquire_async("k")));
    let mut poll = |index: usize| {
        let mut context = Context::from_waker(Waker::noop());
        calls[index].as_mut().poll(&mut context).is_ready()
    };
    assert!((0..3).all(|index| !poll(index)));
    for (seconds, index) in [(10, 0), (10, 1), (1, 2)] {
        clock.advance(seconds * SECOND - Duration::from_nanos(1));
        assert!(!poll(index), "{index}");
        clock.advance(Duration::from_nanos(1));
        assert!(poll(index), "{index}");
    }
}

/// Each slot goes back by the limit under which it was taken.
#[test]
fn a_change_gives_back_the_slots_of_all_throttles_that_share_a_name() {
    let clock = ManualClock::new();
    let memory = MemoryHandler::builder().clock(clock.clone()).build();
    let throttle = |period| {
        let limit = Limit::token_bucket(1, period);
        let throttle = Throttle::new("changed by two limits", limit);
        throttle.with_config(memory.clone()).wait()
    };
    let (slow, fast) = (throttle(3_600 * SECOND), throttle(SECOND));
    slow.acquire("k").unwrap();
    let mut calls = [&slow, &fast, &slow, &fast].map(|throttle| {
        let call = throttle.acquire_async("k");
        (Box::pin(call), false)
    });
    let mut admitted = || {
        let mut context = Context::from_waker(Waker::noop());
        for (call, is_done) in &mut calls {
            *is_done = *is_done || call.as_mut().poll(&mut context).is_ready();
        }
        calls.iter().filter(|(_, is_done)| *is_done).count()
    };
    assert_eq!(admitted(), 0);
    let changed = Limit::token_bucket(1, 2 * SECOND);
    assert_eq!(limits::set("changed by two limits", changed).unwrap(), 2);
    assert_eq!(admitted(), 0);
    for count in 1..=4 {
        clock.advance(2 * SECOND);
        assert_eq!(admitted(), count);
    }
    assert_eq!(slow.peek("k").unwrap().retry_after, 2 * SECOND);
}
