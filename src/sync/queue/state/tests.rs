//! Who is handed out when.

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("team", name)
}

/// A queue that many workers may work on for one namespace.
fn state() -> State {
    State::new(9)
}

/// The least and the most that chance adds.
fn none(_bound: Duration) -> Duration {
    Duration::ZERO
}

fn most(bound: Duration) -> Duration {
    bound / 64 * 63
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// The keys that one worker gets, one after the other, as `namespace/name`.
fn worked_off(state: &mut State, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| match state.next(now) {
        Next::Due(key) => {
            state.done(&key, Done::Settled, now, none);
            Some(key.to_string())
        }
        Next::Wait(_) => None,
    })
    .collect()
}

#[test]
fn a_key_is_handed_out_once_and_to_one_worker() {
    let (mut state, now) = (state(), Instant::now());
    state.add(&key("a"), now);
    state.add(&key("a"), now + seconds(5));
    assert_eq!(state.next(now), Next::Due(key("a")));
    assert_eq!(state.next(now), Next::Wait(None));
    assert!(!state.take(&key("a")), "somebody works on it");
    state.done(&key("a"), Done::Settled, now, none);
    assert_eq!(state.next(now + seconds(9)), Next::Wait(None), "the earlier date covered both");
    assert!(state.lanes.is_empty());
}

#[test]
fn who_asks_for_a_key_is_served_by_work_of_others_that_begins_later_and_does_not_fail() {
    let (mut state, now) = (state(), Instant::now());
    let first = state.ask(&key("a"), now + seconds(5));
    assert!(!state.is_served(&key("a"), first), "nobody has begun");
    assert!(state.take(&key("a")));
    let late = state.ask(&key("a"), now + seconds(5));
    assert!(!state.is_served(&key("a"), first), "the work is not done");
    state.done(&key("a"), Done::Settled, now, none);
    assert!(state.is_served(&key("a"), first), "although it is asked for again");
    assert!(!state.is_served(&key("a"), late), "the work may not have seen what the late one brought");
    assert_eq!(
        state.next(now + seconds(5)),
        Next::Due(key("a")),
        "a worker does what no publish did in time"
    );
    state.done(&key("a"), Done::Failed, now, none);
    assert!(!state.is_served(&key("a"), late), "it failed");
    assert!(state.take(&key("a")));
    state.done(&key("a"), Done::Settled, now, none);
    assert!(state.is_served(&key("a"), late));
    assert!(state.lanes.is_empty());
    let last = state.ask(&key("a"), now + seconds(5));
    assert!(state.is_served(&key("a"), late), "although it is asked for anew");
    assert!(state.take(&key("a")));
    assert!(state.is_served(&key("a"), late), "although somebody works on it again");
    assert!(!state.is_served(&key("a"), last));
}

#[test]
fn what_is_added_during_the_work_is_done_after_it() {
    let (mut state, now) = (state(), Instant::now());
    assert!(state.take(&key("a")));
    state.add(&key("a"), now);
    assert_eq!(state.next(now), Next::Wait(None));
    state.done(&key("a"), Done::Settled, now, none);
    assert_eq!(state.next(now), Next::Due(key("a")));
}

#[test]
fn within_a_namespace_the_longest_waiting_key_comes_first_and_none_before_its_time() {
    let (mut state, now) = (state(), Instant::now());
    state.add(&key("later"), now + seconds(3));
    state.add(&key("second"), now + seconds(2));
    state.add(&key("first"), now + seconds(1));
    assert_eq!(state.next(now), Next::Wait(Some(seconds(1))));
    assert_eq!(state.next(now + seconds(2)), Next::Due(key("first")));
    assert_eq!(state.next(now + seconds(2)), Next::Due(key("second")));
    assert_eq!(state.next(now + seconds(2)), Next::Wait(Some(seconds(1))));
}

#[test]
fn namespaces_take_turns_whatever_each_of_them_has_waiting() {
    let (mut state, now) = (state(), Instant::now());
    for number in 0..4 {
        state.add(&ObjectKey::new("many", &format!("{number}")), now + seconds(number));
    }
    // All of these are due after the others.
    for name in ["x", "y"] {
        state.add(&ObjectKey::new("few", name), now + seconds(8));
    }
    state.add(&ObjectKey::new("one", "z"), now + seconds(9));
    let order = worked_off(&mut state, now + seconds(10));
    assert_eq!(order, ["many/0", "few/x", "one/z", "many/1", "few/y", "many/2", "many/3"]);
    assert!(state.lanes.is_empty());
}

#[test]
fn a_key_that_comes_while_thousands_of_another_namespace_wait_is_the_next_but_one_at_most() {
    let (mut state, now) = (state(), Instant::now());
    for number in 0..18_000 {
        state.add(&ObjectKey::new("many", &format!("s{number}")), now);
    }
    for round in 0..50 {
        let Next::Due(busy) = state.next(now) else { unreachable!("thousands are due") };
        state.add(&key("mine"), now + seconds(1));
        let turns = (0..2).map(|_| state.next(now + seconds(1)));
        let turns: Vec<_> = turns.collect();
        assert!(turns.contains(&Next::Due(key("mine"))), "round {round}: {turns:?}");
        for turn in turns {
            let Next::Due(key) = turn else { unreachable!("thousands are due") };
            state.done(&key, Done::Settled, now, none);
        }
        state.done(&busy, Done::Settled, now, none);
    }
}

#[test]
fn a_namespace_that_comes_anew_each_time_does_not_push_in() {
    let (mut state, now) = (state(), Instant::now());
    for name in ["a", "b", "c", "d"] {
        state.add(&key(name), now);
    }
    // Its one key is done, and at once there is another.
    let pushy = ObjectKey::new("pushy", "x");
    state.add(&pushy, now);
    let mut order = Vec::new();
    for _ in 0..8 {
        let Next::Due(key) = state.next(now) else { unreachable!("some are due") };
        state.done(&key, Done::Settled, now, none);
        state.add(&pushy, now);
        order.push(key.namespace);
    }
    assert_eq!(order.iter().filter(|namespace| *namespace == "team").count(), 4, "{order:?}");
}

#[test]
fn workers_of_one_namespace_are_no_more_than_its_share_and_a_publish_is_none_of_them() {
    let (mut state, now) = (State::new(2), Instant::now());
    for name in ["a", "b", "c", "d"] {
        state.add(&key(name), now);
    }
    let other = ObjectKey::new("other", "x");
    assert!(state.take(&key("d")), "a publish takes what it needs");
    assert_eq!(state.next(now), Next::Due(key("a")));
    assert_eq!(state.next(now), Next::Due(key("b")));
    assert_eq!(state.next(now), Next::Wait(None), "it has its share");
    state.add(&other, now);
    assert_eq!(state.next(now), Next::Due(other), "another namespace has one as well");
    state.done(&key("d"), Done::Settled, now, none);
    assert_eq!(state.next(now), Next::Wait(None), "no worker was done");
    state.done(&key("a"), Done::Settled, now, none);
    assert_eq!(state.next(now), Next::Due(key("c")));
}

#[test]
fn pauses_grow_with_failures_up_to_a_bound_and_success_forgets_them() {
    let (mut state, now) = (state(), Instant::now());
    let fail = |state: &mut State, below: fn(Duration) -> Duration| {
        state.take(&key("a"));
        state.done(&key("a"), Done::Failed, now, below);
        state.lanes["team"].entries["a"].due.unwrap() - now
    };
    assert_eq!(fail(&mut state, none), seconds(1));
    assert_eq!(fail(&mut state, none), seconds(2));
    assert!(fail(&mut state, most) > seconds(4));
    for _ in 0..40 {
        assert!(fail(&mut state, most) <= seconds(60));
    }
    assert!(fail(&mut state, most) > seconds(59) && fail(&mut state, none) == LONGEST_PAUSE);
    state.take(&key("a"));
    state.done(&key("a"), Done::Later(seconds(1)), now, none);
    assert_eq!(fail(&mut state, none), seconds(1), "later is no failure");
}

#[test]
fn a_dropped_key_is_forgotten_even_while_somebody_works_on_it() {
    let (mut state, now) = (state(), Instant::now());
    state.add(&key("a"), now);
    state.forget(&key("a"));
    assert_eq!(state.next(now), Next::Wait(None));
    state.take(&key("b"));
    state.add(&key("b"), now);
    state.forget(&key("b"));
    state.done(&key("b"), Done::Settled, now, none);
    assert!(state.lanes.is_empty());
    state.done(&key("c"), Done::Failed, now, none);
    assert!(state.lanes.is_empty(), "nobody asked for it");
}
