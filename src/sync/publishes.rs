//! The publishes that bring their Secrets up to date before they are answered.
//!
//! Each of them keeps a thread that kubelet's other calls could use, and asks the API server, which takes a bounded
//! number of requests at a time. So there are few, fewer of one namespace, and most wait for a place, or until another
//! has done their work with its own; the rest leaves its Secrets to the workers.

use base::places::{Place, Places, Share};

/// Those in hand.
pub struct Publishes {
    places: Places<String>,
}

impl Publishes {
    /// Of that many publishes at a time, two thirds may wait: more pods than kubelet starts on a node by default, and a
    /// third of all threads stays with the other calls.
    pub fn new(most: usize) -> Publishes {
        Publishes { places: Places::new(MOST, most * 2 / 3) }
    }

    /// A place for a publish of that namespace, if there is one before `is_over`.
    pub fn enter(&self, namespace: &str, is_over: impl Fn() -> bool) -> Option<Place<'_, String>> {
        let share = Share { of: namespace.to_owned(), most: MOST_OF_ONE };
        self.places.enter(vec![share], is_over).ok()
    }
}

/// Half of the requests that the API server is asked at a time: a publish has one under way.
const MOST: usize = 8;
/// For one namespace.
const MOST_OF_ONE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn fill<'a>(publishes: &'a Publishes, namespace: &str) -> Vec<Place<'a, String>> {
        std::iter::from_fn(|| publishes.enter(namespace, || true)).collect()
    }

    #[test]
    fn a_namespace_has_half_of_the_places_and_leaves_the_rest_to_the_others() {
        let publishes = Publishes::new(192);
        let of_one = fill(&publishes, "many");
        assert_eq!(of_one.len(), MOST_OF_ONE);
        let others: Vec<_> = (0..MOST).map(|number| fill(&publishes, &format!("other-{number}"))).collect();
        assert_eq!(others.iter().map(Vec::len).sum::<usize>(), MOST - MOST_OF_ONE);
    }
}
