//! The calls that one provider has in hand.
//!
//! A class whose calls hang, because its parameters name a store that does not answer for instance, holds no more than
//! three quarters of them, and a namespace no more than seven eighths. What comes beyond that waits, and a quarter of
//! the whole may wait: so as many calls of one class as there may be in all are taken as ever.

use std::fmt;

use base::places::{NoPlace, Place, Places, Share};
use rpc::deadline::Deadline;

/// The calls of one provider.
pub struct Calls {
    most: usize,
    places: Places<Group>,
}

/// For whom a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Namespace of the pod and of the class.
    pub namespace: String,
    /// Name of the class.
    pub class: String,
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.class)
    }
}

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Those of a class.
    Class {
        /// Its namespace.
        namespace: String,
        /// Its name.
        class: String,
    },
    /// Those of all classes of a namespace.
    Namespace(String),
}

/// As many calls are in hand as there may be; this one was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full(NoPlace<Group>);

impl Calls {
    /// At most that many.
    pub fn new(most: usize) -> Calls {
        Calls { most, places: Places::new(most, most / 4) }
    }

    /// A call begins, and lasts until the place is dropped. It may have to wait for others to end.
    pub fn enter(&self, caller: &Caller, deadline: Deadline) -> Result<Place<'_, Group>, Full> {
        let Caller { namespace, class } = caller.clone();
        let of_class = Group::Class { namespace: namespace.clone(), class };
        // Rounded up: where few calls are allowed, one class may have them all.
        let shares = vec![
            Share { of: of_class, most: self.most - self.most / 4 },
            Share { of: Group::Namespace(namespace), most: self.most - self.most / 8 },
        ];
        self.places.enter(shares, || deadline.is_past()).map_err(Full)
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Full(NoPlace { of, taken }) = self;
        let allowed = "in hand already, which is what --max-provider-calls allows";
        match of {
            None => write!(f, "{taken} calls {allowed}"),
            Some(Group::Class { namespace, class }) => {
                write!(f, "{taken} calls for class {namespace}/{class} {allowed} one class")
            }
            Some(Group::Namespace(namespace)) => {
                write!(f, "{taken} calls for classes of namespace {namespace} {allowed} one namespace")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn caller(namespace: &str, class: &str) -> Caller {
        Caller { namespace: namespace.into(), class: class.into() }
    }

    fn past() -> Deadline {
        Deadline::after(Duration::ZERO)
    }

    /// As many calls for that class as get a place at once.
    fn fill<'a>(calls: &'a Calls, namespace: &str, class: &str) -> Vec<Place<'a, Group>> {
        std::iter::from_fn(|| calls.enter(&caller(namespace, class), past()).ok()).collect()
    }

    #[test]
    fn a_class_has_three_quarters_a_namespace_seven_eighths_and_others_the_rest() {
        let calls = Calls::new(128);
        let of_one = fill(&calls, "team", "hangs");
        assert_eq!(of_one.len(), 96);
        let refused = calls.enter(&caller("team", "hangs"), past()).err().unwrap();
        assert!(refused.to_string().starts_with("96 calls for class team/hangs in hand"), "{refused}");
        let of_sister = fill(&calls, "team", "hangs-too");
        assert_eq!(of_sister.len(), 16);
        let refused = calls.enter(&caller("team", "another"), past()).err().unwrap();
        assert!(refused.to_string().starts_with("112 calls for classes of namespace team "), "{refused}");
        assert_eq!(fill(&calls, "other", "hangs").len(), 16);
        drop(of_one);
        assert!(calls.enter(&caller("team", "hangs"), past()).is_ok());
    }

    #[test]
    fn a_quarter_as_many_calls_may_wait_for_a_place() {
        let calls = Calls::new(8);
        let held = fill(&calls, "team", "hangs");
        let call = || calls.enter(&caller("team", "hangs"), Deadline::after(PATIENCE));
        std::thread::scope(|scope| {
            let waiting = [scope.spawn(|| call().is_ok()), scope.spawn(|| call().is_ok())];
            while calls.places.waiting() < waiting.len() {
                std::thread::yield_now();
            }
            let begun = Instant::now();
            assert!(call().is_err());
            assert!(begun.elapsed() < PATIENCE / 2, "it has waited: {:?}", begun.elapsed());
            drop(held);
            assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap()));
        });
    }

    #[test]
    fn where_few_calls_are_allowed_one_class_may_have_them_all() {
        for most in 1..4 {
            let calls = Calls::new(most);
            let of_one = fill(&calls, "team", "db");
            assert_eq!(of_one.len(), most);
            let refused = calls.enter(&caller("other", "db"), past()).err().unwrap();
            assert!(refused.to_string().starts_with(&format!("{most} calls in hand")), "{refused}");
        }
    }
}
