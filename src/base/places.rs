//! A bounded number of places, of which each group may take a share: who hangs costs others no more than that.
//!
//! Who finds no place waits in a line, if there is room in it, and is overtaken only by those for whose group there is
//! a place while there is none for its own. Nothing here knows what the places are for.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use crate::lock::{Condvar, Mutex, MutexGuard};

/// Places, for members of groups of type `G`.
pub struct Places<G> {
    most: usize,
    room: usize,
    state: Mutex<State<G>>,
    freed: Condvar,
}

/// How many places a group may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share<G> {
    /// The group.
    pub of: G,
    /// The most that it may have.
    pub most: usize,
}

/// One place; given back when dropped.
pub struct Place<'a, G: Clone + Eq + Hash> {
    places: &'a Places<G>,
    shares: Vec<Share<G>>,
}

/// There is no place, and no room to wait for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPlace<G> {
    /// The group that has its share; none when all places are taken.
    pub of: Option<G>,
    /// How many are taken, by that group or by all.
    pub taken: usize,
}

struct State<G> {
    taken: usize,
    of: HashMap<G, usize>,
    /// Who waits, in the order in which they came.
    line: BTreeMap<u64, Vec<Share<G>>>,
    next_number: u64,
}

impl<G: Clone + Eq + Hash> Places<G> {
    /// That many places, and room for so many who wait.
    pub fn new(most: usize, room: usize) -> Places<G> {
        let state = State { taken: 0, of: HashMap::new(), line: BTreeMap::new(), next_number: 0 };
        Places { most, room, state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Takes a place on behalf of groups, none of which may then have more than its share. Waits for one, if need be,
    /// until `is_over`.
    pub fn enter(
        &self,
        shares: Vec<Share<G>>,
        is_over: impl Fn() -> bool,
    ) -> Result<Place<'_, G>, NoPlace<G>> {
        let mut state = self.lock();
        let number = state.next_number;
        if let Some(why) = state.why_not(self.most, number, &shares) {
            if state.line.len() >= self.room {
                return Err(why);
            }
            state.next_number += 1;
            state.line.insert(number, shares.clone());
            while let Some(why) = state.why_not(self.most, number, &shares) {
                if is_over() {
                    state.line.remove(&number);
                    return Err(why);
                }
                state = self.freed.wait_timeout(state, BETWEEN_LOOKS).0;
            }
            state.line.remove(&number);
        }
        state.taken += 1;
        for share in &shares {
            *state.of.entry(share.of.clone()).or_default() += 1;
        }
        Ok(Place { places: self, shares })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().line.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<G>> {
        self.state.lock()
    }
}

impl<G: Clone + Eq + Hash> State<G> {
    /// Why there is no place for who has that number in the line, if there is none.
    fn why_not(&self, most: usize, number: u64, shares: &[Share<G>]) -> Option<NoPlace<G>> {
        let is_overtaken =
            || self.line.range(..number).any(|(_, earlier)| self.full(most, earlier).is_none());
        self.full(most, shares).or_else(|| is_overtaken().then_some(NoPlace { of: None, taken: self.taken }))
    }

    fn full(&self, most: usize, shares: &[Share<G>]) -> Option<NoPlace<G>> {
        let taken_by = |share: &Share<G>| self.of.get(&share.of).copied().unwrap_or(0);
        if let Some(share) = shares.iter().find(|share| taken_by(share) >= share.most) {
            return Some(NoPlace { of: Some(share.of.clone()), taken: taken_by(share) });
        }
        (self.taken >= most).then_some(NoPlace { of: None, taken: self.taken })
    }
}

impl<G: Clone + Eq + Hash> Drop for Place<'_, G> {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        state.taken = state.taken.saturating_sub(1);
        for share in &self.shares {
            if let Some(taken) = state.of.get_mut(&share.of) {
                *taken = taken.saturating_sub(1);
                if *taken == 0 {
                    state.of.remove(&share.of);
                }
            }
        }
        drop(state);
        self.places.freed.notify_all();
    }
}

/// A caller's patience may be no more than a condition that has to be asked.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn of(group: &'static str, most: usize) -> Vec<Share<&'static str>> {
        vec![Share { of: group, most }]
    }

    fn at_once() -> bool {
        true
    }

    #[test]
    fn a_group_has_its_share_and_the_others_what_is_left() {
        let places = Places::new(4, 0);
        let mut taken: Vec<_> = (0..3).map(|_| places.enter(of("a", 3), at_once).unwrap()).collect();
        let refused = places.enter(of("a", 3), at_once).err();
        assert_eq!(refused, Some(NoPlace { of: Some("a"), taken: 3 }));
        let other = places.enter(of("b", 3), at_once).unwrap();
        let refused = places.enter(of("c", 3), at_once).err();
        assert_eq!(refused, Some(NoPlace { of: None, taken: 4 }), "all are taken");
        drop(other);
        taken.pop();
        assert!(places.enter(of("a", 3), at_once).is_ok());
        taken.clear();
        let state = places.lock();
        assert!(state.taken == 0 && state.of.is_empty() && state.line.is_empty());
    }

    #[test]
    fn who_belongs_to_two_groups_needs_a_place_of_both() {
        let places = Places::new(9, 0);
        let both = |small: &'static str| [of(small, 2), of("large", 3)].concat();
        let _held: Vec<_> =
            ["x", "x", "y"].map(|small| places.enter(both(small), at_once).unwrap()).into_iter().collect();
        assert_eq!(places.enter(both("x"), at_once).err(), Some(NoPlace { of: Some("x"), taken: 2 }));
        assert_eq!(places.enter(both("y"), at_once).err(), Some(NoPlace { of: Some("large"), taken: 3 }));
        assert!(places.enter(of("z", 1), at_once).is_ok());
    }

    #[test]
    fn who_waits_gets_the_place_that_is_freed_and_those_beyond_the_room_are_turned_away() {
        let places = Places::new(2, 1);
        let held = places.enter(of("a", 1), at_once).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| places.enter(of("a", 1), || false).is_ok());
            while places.lock().line.is_empty() {
                std::thread::yield_now();
            }
            assert_eq!(places.enter(of("a", 1), at_once).err(), Some(NoPlace { of: Some("a"), taken: 1 }));
            assert!(places.enter(of("b", 1), at_once).is_ok(), "another group needs not wait");
            drop(held);
            assert!(waits.join().unwrap());
        });
        assert!(places.lock().line.is_empty());
    }

    #[test]
    fn who_has_waited_for_long_enough_leaves_the_line() {
        let places = Places::new(1, 1);
        let _held = places.enter(of("a", 1), at_once).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| places.enter(of("b", 1), || is_over.load(Ordering::SeqCst)).err());
            while places.lock().line.is_empty() {
                std::thread::yield_now();
            }
            is_over.store(true, Ordering::SeqCst);
            assert_eq!(waits.join().unwrap(), Some(NoPlace { of: None, taken: 1 }));
        });
        assert!(places.lock().line.is_empty());
    }

    #[test]
    fn nobody_overtakes_who_came_before_unless_that_one_could_not_go() {
        let mut state =
            State { taken: 1, of: HashMap::from([("a", 1)]), line: BTreeMap::new(), next_number: 2 };
        state.line.insert(0, of("a", 1));
        assert_eq!(state.why_not(2, 2, &of("b", 1)), None, "the earlier one could not go");
        state.line.insert(1, of("c", 1));
        assert!(state.why_not(2, 2, &of("b", 1)).is_some());
        assert_eq!(state.why_not(2, 1, &of("c", 1)), None);
    }
}
