//! The secret store behind all providers: for each class the number of its current state, of which every byte follows.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::chance::place;
use crate::ledger::locked;
use kit::random::Random;

/// By class.
#[derive(Default)]
pub struct Store(Mutex<BTreeMap<String, u64>>);

impl Store {
    /// A class begins with its first state.
    pub fn add(&self, class: &str) {
        locked(&self.0).insert(class.to_owned(), 1);
    }

    pub fn remove(&self, class: &str) {
        locked(&self.0).remove(class);
    }

    /// The number of a class's current state.
    pub fn number(&self, class: &str) -> Option<u64> {
        locked(&self.0).get(class).copied()
    }

    /// The secrets of some class change.
    pub fn change_one(&self, random: &mut Random) {
        let mut numbers = locked(&self.0);
        let chosen = place(random, numbers.len());
        if let Some(number) = numbers.values_mut().nth(chosen) {
            *number += 1;
        }
    }
}
