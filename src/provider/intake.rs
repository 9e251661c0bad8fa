//! Whose turn it is to take an answer in.
//!
//! The library's buffers for a provider have room for two of the largest answers. So at a time one is taken in of the
//! classes whose answers are large, and one of those that have not answered yet; the others, of classes whose answers are
//! small, never queue behind these. A class whose answers do not fit at all is kept off the connection that all share.

use std::collections::HashMap;

use base::lock::{Mutex, MutexGuard};
use base::semaphore::{Permit, Semaphore};

use super::answer_memory::SMALL_ANSWER_BYTES;

/// The turns of one provider, and what is known of its classes.
pub(super) struct Intake {
    unknown: Semaphore,
    small: Semaphore,
    large: Semaphore,
    alone: Semaphore,
    /// By class.
    sizes: Mutex<HashMap<String, Size>>,
}

/// How large the last answer of a class was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// There was none yet.
    Unknown,
    /// Small.
    Small,
    /// Large, and within the limit.
    Large,
    /// More than the buffers of a connection hold.
    Excessive,
}

impl Size {
    pub(super) fn of(bytes: u64) -> Size {
        if bytes <= SMALL_ANSWER_BYTES { Size::Small } else { Size::Large }
    }
}

impl Intake {
    pub(super) fn new() -> Intake {
        let [unknown, small, large, alone] = [1; 4].map(Semaphore::new);
        Intake { unknown, small, large, alone, sizes: Mutex::default() }
    }

    /// How large the last answer of that class was.
    pub(super) fn expected(&self, class: &str) -> Size {
        self.lock().get(class).copied().unwrap_or(Size::Unknown)
    }

    /// Remembers how large an answer of that class was.
    pub(super) fn learn(&self, class: &str, size: Size) {
        let mut sizes = self.lock();
        // Who has so many classes only loses the order of turns.
        if sizes.len() >= MOST_CLASSES && !sizes.contains_key(class) {
            sizes.clear();
        }
        sizes.insert(class.to_owned(), size);
    }

    /// Waits for the turn of an answer of that class; `None` when `give_up` said so first.
    pub(super) fn turn(&self, class: &str, give_up: impl Fn() -> bool) -> Option<Permit> {
        loop {
            let expected = self.expected(class);
            let turns = match expected {
                Size::Unknown => &self.unknown,
                Size::Small => &self.small,
                Size::Large => &self.large,
                Size::Excessive => &self.alone,
            };
            let turn = turns.acquire(1, &give_up)?;
            // Another one of the class may have shown meanwhile how large they are.
            if expected != Size::Unknown || self.expected(class) == Size::Unknown {
                return Some(turn);
            }
        }
    }

    /// Waits for the turn of an answer on a connection of its own; `None` when `give_up` said so first.
    pub(super) fn turn_alone(&self, give_up: impl Fn() -> bool) -> Option<Permit> {
        self.alone.acquire(1, give_up)
    }

    /// Held for a look into it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Size>> {
        self.sizes.lock()
    }
}

/// More than a node has in use.
const MOST_CLASSES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_known_by_its_last_answer() {
        let intake = Intake::new();
        assert_eq!(intake.expected("team/db"), Size::Unknown);
        for size in [Size::of(SMALL_ANSWER_BYTES + 1), Size::Excessive, Size::of(SMALL_ANSWER_BYTES)] {
            intake.learn("team/db", size);
            assert_eq!(intake.expected("team/db"), size);
        }
    }

    #[test]
    fn who_is_small_waits_neither_for_who_is_large_nor_for_who_is_unknown() {
        let intake = Intake::new();
        intake.learn("small", Size::Small);
        intake.learn("large", Size::Large);
        let _held =
            [intake.turn("large", || false), intake.turn("unknown", || false), intake.turn_alone(|| false)];
        for class in ["large", "unknown", "another"] {
            assert!(intake.turn(class, || true).is_none(), "{class}");
        }
        assert!(intake.turn("small", || true).is_some());
    }

    #[test]
    fn who_waits_as_unknown_is_served_as_what_his_class_has_turned_out_to_be() {
        let intake = Intake::new();
        let first = intake.turn("class", || false);
        let large = intake.large.acquire(1, || false);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| intake.turn("class", || false).is_some());
            while !intake.unknown.is_awaited() {
                std::thread::yield_now();
            }
            intake.learn("class", Size::Large);
            drop(first);
            while !intake.large.is_awaited() {
                std::thread::yield_now();
            }
            assert!(intake.turn("another", || true).is_some(), "the turn of the unknown is free again");
            drop(large);
            assert!(second.join().unwrap());
        });
    }

    #[test]
    fn no_more_classes_are_remembered_than_a_node_has() {
        let intake = Intake::new();
        for number in 0..10 * MOST_CLASSES {
            intake.learn(&number.to_string(), Size::Large);
        }
        assert!(intake.lock().len() <= MOST_CLASSES);
    }
}
