//! Which classes cannot be mirrored as they are, and why: the log has one line for each reason of a class, however many
//! of its Secrets and volumes that concerns. Pure.

use std::collections::{HashMap, HashSet};

use kube::types::ObjectKey;

/// What there is to complain about now.
#[derive(Debug, Default)]
pub struct Complaints {
    concerned: HashMap<Complaint, HashSet<Concerned>>,
    of: HashMap<Concerned, Complaint>,
}

/// What cannot be brought up to date.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Concerned {
    /// A Secret.
    Secret(ObjectKey),
    /// The volume at that target, whose class has entries that make no Secret.
    Volume(String),
}

/// A class, and the reason in one word.
type Complaint = (ObjectKey, &'static str);

impl Complaints {
    /// It cannot be brought up to date, for that reason. True when nothing else of its class was concerned by it.
    pub fn raise(&mut self, concerned: &Concerned, class: &ObjectKey, reason: &'static str) -> bool {
        let complaint = (class.clone(), reason);
        if self.of.get(concerned) == Some(&complaint) {
            return false;
        }
        self.settle(concerned);
        self.of.insert(concerned.clone(), complaint.clone());
        let all = self.concerned.entry(complaint).or_default();
        all.insert(concerned.clone());
        all.len() == 1
    }

    /// Nothing is wrong with it any longer, or it is gone. True when it was the last of its class that was concerned.
    pub fn settle(&mut self, concerned: &Concerned) -> bool {
        let Some(complaint) = self.of.remove(concerned) else { return false };
        let is_last = self.concerned.get_mut(&complaint).is_some_and(|all| {
            all.remove(concerned);
            all.is_empty()
        });
        if is_last {
            self.concerned.remove(&complaint);
        }
        is_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str) -> Concerned {
        Concerned::Secret(ObjectKey::new("team", name))
    }

    #[test]
    fn a_class_is_complained_about_once_for_each_reason_and_again_when_all_was_well_in_between() {
        let (mut complaints, class) = (Complaints::default(), ObjectKey::new("team", "db"));
        assert!(complaints.raise(&secret("0"), &class, "Rejected"));
        let further = (1..1000).filter(|n| complaints.raise(&secret(&n.to_string()), &class, "Rejected"));
        assert_eq!(further.count(), 0);
        assert!(!complaints.raise(&secret("0"), &class, "Rejected"), "the same once more");
        assert!(complaints.raise(&secret("0"), &class, "Forbidden"), "another reason");
        assert!(complaints.raise(&Concerned::Volume("/a".into()), &ObjectKey::new("team", "x"), "Rejected"));
        assert!(complaints.settle(&secret("0")));
        let last = (1..1000).filter(|n| complaints.settle(&secret(&n.to_string())));
        assert_eq!(last.count(), 1);
        assert!(!complaints.settle(&secret("1")), "it is settled");
        assert!(complaints.raise(&secret("1"), &class, "Rejected"));
        assert!(complaints.settle(&secret("1")) && complaints.settle(&Concerned::Volume("/a".into())));
        assert!(complaints.of.is_empty() && complaints.concerned.is_empty());
    }
}
