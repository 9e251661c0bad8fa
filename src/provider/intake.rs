//! Whose turn it is to take an answer in.
//!
//! The library's buffers for a provider have room for two of the largest answers. So one of a class whose answers are
//! large is taken in at a time, and beside it one of the others, which thus never queue behind the large ones. A class
//! whose answers do not fit at all is kept off the connection that all share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::semaphore::{Permit, Semaphore};

use super::answer_memory::SMALL_ANSWER_BYTES;

/// The turns of one provider, and what is known of its classes.
pub(super) struct Intake {
    small: Semaphore,
    large: Semaphore,
    alone: Semaphore,
    /// By class; those whose last answer was small are not in it.
    sizes: Mutex<HashMap<String, Size>>,
}

/// How large the last answer of a class was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Small, or not known yet.
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
        let [small, large, alone] = [1; 3].map(Semaphore::new);
        Intake { small, large, alone, sizes: Mutex::default() }
    }

    /// How large the last answer of that class was.
    pub(super) fn expected(&self, class: &str) -> Size {
        self.lock().get(class).copied().unwrap_or(Size::Small)
    }

    /// Remembers how large an answer of that class was.
    pub(super) fn learn(&self, class: &str, size: Size) {
        let mut sizes = self.lock();
        if size == Size::Small {
            sizes.remove(class);
            return;
        }
        // Who has so many classes with large answers only loses the order of turns.
        if sizes.len() >= MOST_CLASSES && !sizes.contains_key(class) {
            sizes.clear();
        }
        sizes.insert(class.to_owned(), size);
    }

    /// Waits for a turn; `None` when `give_up` said so first.
    pub(super) fn turn(&self, expected: Size, give_up: impl Fn() -> bool) -> Option<Permit> {
        let turns = match expected {
            Size::Small => &self.small,
            Size::Large => &self.large,
            Size::Excessive => &self.alone,
        };
        turns.acquire(1, give_up)
    }

    /// Held for a look into it.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Size>> {
        self.sizes.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(intake.expected("team/db"), Size::Small);
        for size in [Size::of(SMALL_ANSWER_BYTES + 1), Size::Excessive, Size::of(SMALL_ANSWER_BYTES)] {
            intake.learn("team/db", size);
            assert_eq!(intake.expected("team/db"), size);
        }
        assert!(intake.lock().is_empty(), "small ones take no memory");
    }

    #[test]
    fn who_is_small_does_not_wait_for_who_is_large() {
        let intake = Intake::new();
        let _large = intake.turn(Size::Large, || false);
        let _alone = intake.turn(Size::Excessive, || false);
        assert!(intake.turn(Size::Large, || true).is_none());
        assert!(intake.turn(Size::Small, || true).is_some());
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
