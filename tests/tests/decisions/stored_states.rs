//! A store outside of premier keeps states as bytes.

use std::time::Duration;

use premier::algorithms::{Plan, State};
use premier::{Decision, Error, Key, Limit, Operation, Request};

const SECOND: Duration = Duration::from_secs(1);
const NOW: u64 = 1_000_000_000_000;

fn plan(limit: Limit) -> Plan {
    Plan::new(limit).unwrap()
}

fn plans() -> [Plan; 5] {
    [
        plan(Limit::fixed_window(3, SECOND)),
        plan(Limit::sliding_window(3, SECOND)),
        plan(Limit::sliding_log(3, SECOND)),
        plan(Limit::token_bucket(3, SECOND)),
        plan(Limit::leaky_bucket(3, SECOND).bucket_size(2)),
    ]
}

fn request<'a>(plans: &'a [Plan], operation: Operation) -> Request<'a> {
    Request::new(Key::new("test:f:algo", None), plans, operation)
}

/// A state after some calls, some of them in the window before.
fn used(plan: &Plan) -> State {
    let mut state = State::default();
    for at in [NOW, NOW + 400_000_000, NOW + 1_300_000_000] {
        let _ = state.take(plan, at, 1);
    }
    state
}

/// A state that callers wait for.
fn reserved(plan: &Plan) -> State {
    let mut states = [State::default()];
    let reserve = Operation::Reserve {
        cost: 1,
        longest: Duration::MAX,
    };
    for _ in 0..9 {
        let plans = [*plan];
        let _ = request(&plans, reserve).apply(&mut states, NOW).unwrap();
    }
    let [state] = states;
    state
}

/// A state that owes units.
fn charged(plan: &Plan) -> State {
    let mut state = used(plan);
    state.charge(plan, NOW + 1_300_000_000, 8, 7);
    state
}

#[test]
fn a_state_that_was_stored_decides_as_the_original() {
    for plan in plans() {
        for mut state in [
            State::default(),
            used(&plan),
            reserved(&plan),
            charged(&plan),
        ] {
            let mut read = State::from_bytes(&state.to_bytes()).unwrap();
            assert_eq!(read, state);
            for step in 0..8 {
                let now = NOW + 1_300_000_000 + step * 150_000_000;
                let (got, expected) = (read.take(&plan, now, 1), state.take(&plan, now, 1));
                assert_eq!(got, expected, "{}", plan.limit());
            }
        }
    }
}

#[test]
fn the_format_of_stored_states_stays_as_it_is() {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let bytes = plans().map(|plan| hex(&used(&plan).to_bytes()));
    assert_eq!(
        bytes,
        [
            "010300000000e922217d0000000000000000010000000000000000",
            "010301000000e9103fda0000000000000000010000000000000002",
            "010400000002000000e8ec7c94000000000000000001000000e922217d000000000000000001",
            "01010000000000000000000002bba1ff41000000000000000003",
            "01010000000000000000000002bba1ff41000000000000000003",
        ]
    );
    let waited_for = hex(&reserved(&plans()[3]).to_bytes());
    assert_eq!(
        waited_for,
        "01020000000000000000000002bc96604a000000000000000003000000e8d4a51000000000000000000000000000b2d05e00"
    );
    let owing = [0, 1].map(|index| hex(&charged(&plans()[index]).to_bytes()));
    assert_eq!(
        owing,
        [
            "010500000000e922217d000000000000000009000000000000000000000000000000060000000000000003",
            "010501000000e9103fda000000000000000009000000000000000200000000000000060000000000000003",
        ]
    );
    assert_eq!(hex(&State::default().to_bytes()), "0100");
}

#[test]
fn bytes_that_are_no_state_are_an_error() {
    let log = used(&plan(Limit::sliding_log(3, SECOND))).to_bytes();
    let mut out_of_order = log.clone();
    let last = log.len() - 16;
    out_of_order[last..last + 8].fill(0);
    let of_later_version = [2, 0];
    let of_two = [1, 0, 0];
    for bytes in [
        &[][..],
        &[1],
        &of_later_version,
        &of_two,
        &[1, 99],
        b"something else",
        &log[..log.len() - 1],
        &out_of_order,
    ] {
        let error = State::from_bytes(bytes).unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{bytes:?}: {error}");
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}

#[test]
fn damaged_bytes_never_cause_a_panic() {
    let operations = [
        Operation::Take(1),
        Operation::Reserve {
            cost: 2,
            longest: Duration::MAX,
        },
        Operation::Peek(3),
        Operation::Charge {
            units: u64::MAX,
            max_debt: Some(u64::MAX),
        },
        Operation::Take(1),
        Operation::Refund(u64::MAX),
        Operation::Take(3),
    ];
    for plan in plans() {
        let plans = [plan];
        for state in [used(&plan), reserved(&plan), charged(&plan)] {
            let bytes = state.to_bytes();
            for position in 1..bytes.len() {
                for byte in [0, 1, 0x7F, 0x80, 0xFF] {
                    let mut damaged = bytes.clone();
                    damaged[position] = byte;
                    let Ok(state) = State::from_bytes(&damaged) else {
                        continue;
                    };
                    for now in [0, NOW, NOW + 1_500_000_000, u64::MAX] {
                        let mut states = [state.clone()];
                        for operation in operations {
                            let request = request(&plans, operation);
                            let _ = request.apply(&mut states, now).unwrap();
                            let _ = request.encode(&states, now);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_state_expires_when_it_decides_as_one_never_seen() {
    for plan in plans() {
        for (state, now) in [
            (used(&plan), NOW + 1_300_000_000),
            (charged(&plan), NOW + 1_300_000_000),
            (reserved(&plan), NOW),
        ] {
            let expires_in = state.expires_in(&plan, now);
            assert!(expires_in > Duration::ZERO, "{}", plan.limit());
            let end = now + u64::try_from(expires_in.as_nanos()).unwrap();
            assert!(state.is_fresh(&plan, end), "{}", plan.limit());
            assert!(!state.is_fresh(&plan, end - 1), "{}", plan.limit());
        }
        assert_eq!(State::default().expires_in(&plan, NOW), Duration::ZERO);
    }
}

#[test]
fn the_states_of_several_limits_are_one_value() {
    let plans = plans();
    let take = request(&plans, Operation::Take(1));
    let mut states = take.decode(None).unwrap();
    assert!(take.apply(&mut states, NOW).unwrap().allowed);
    let (bytes, expires_in) = take.encode(&states, NOW).unwrap();
    assert_eq!(take.decode(Some(&bytes)).unwrap(), states);
    // As long as the longest of them, the sliding window.
    assert_eq!(expires_in, 2 * SECOND);

    let reset = request(&plans, Operation::Reset);
    let _ = reset.apply(&mut states, NOW).unwrap();
    assert_eq!(reset.encode(&states, NOW), None);
}

#[test]
fn a_limit_that_was_added_begins_with_a_state_never_seen() {
    let plans = plans();
    let one = request(&plans[..1], Operation::Take(1));
    let mut states = one.decode(None).unwrap();
    let _ = one.apply(&mut states, NOW).unwrap();
    let (bytes, _) = one.encode(&states, NOW).unwrap();
    let states = request(&plans[..2], Operation::Take(1))
        .decode(Some(&bytes))
        .unwrap();
    assert_eq!(states.len(), 2);
    assert_eq!(states[1], State::default());
}

#[test]
fn a_reservation_says_what_each_limit_has_taken() {
    let plans = [
        plan(Limit::leaky_bucket(3, SECOND)),
        plan(Limit::fixed_window(3, 2 * SECOND)),
    ];
    let mut states = [State::default(), State::default()];
    let take = request(&plans, Operation::Take(1));
    let decision = take.apply(&mut states, NOW).unwrap();
    let reservation = *decision.reservation();
    assert_eq!(reservation.taken_at(), NOW);
    let (interval, ticks) = plans[0].emission_interval();
    let end = u128::from(NOW) * u128::from(ticks) + u128::from(interval);
    assert_eq!(reservation.slot_end(0), Some(end));
    assert_eq!(reservation.slot_end(1), None);
    assert_eq!(reservation.counted_until(1), NOW + 2_000_000_000);

    // A store that does not decide by `apply` sets these values itself.
    let mut own = premier::Reservation::new(NOW);
    own.set_limit(0, Some(end), reservation.counted_until(0));
    own.set_limit(1, None, NOW + 2_000_000_000);
    let own = Decision::new(3).with_reservation(own);
    assert_eq!(*own.reservation(), reservation);
    let release = request(&plans, Operation::Release(*own.reservation(), 1));
    let _ = release.apply(&mut states, NOW).unwrap();
    assert!(
        states
            .iter()
            .zip(&plans)
            .all(|(state, plan)| state.is_fresh(plan, NOW))
    );
}

#[test]
fn a_caller_that_may_not_wait_for_its_slot_is_denied_although_the_queue_has_room() {
    let plans = [plan(Limit::leaky_bucket(1, SECOND).bucket_size(4))];
    let mut states = [State::default()];
    let mut reserve = |longest| {
        request(&plans, Operation::Reserve { cost: 1, longest })
            .apply(&mut states, NOW)
            .unwrap()
    };
    assert_eq!(reserve(Duration::MAX).delay, Duration::ZERO);
    assert_eq!(reserve(Duration::MAX).delay, SECOND);
    let denied = reserve(SECOND);
    assert_eq!((denied.allowed, denied.retry_after), (false, 2 * SECOND));
}
