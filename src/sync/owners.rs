//! Whose Secret it is: the owner references that keep a mirrored Secret alive, and let the cluster's garbage
//! collector remove it when the last owner is gone.
//!
//! Owners are told apart by uid. One that was deleted and made again under its name is another owner, and the
//! reference to the former one has to give way: it would never come true again. Knows neither pods nor Secrets.

use std::collections::BTreeSet;

use kube::types::OwnerReference;

/// The owner references that an object with `existing` ones should have so that all of `wanted` own it; `None` when
/// nothing is to do.
///
/// References of others stay as they are and where they are. One that is stale, which is to say of the same name,
/// kind and group as a wanted one but of another uid that nobody wants, is replaced in its place. A wanted one
/// without a uid is nobody, and is left out.
pub fn merged(existing: &[OwnerReference], wanted: &[OwnerReference]) -> Option<Vec<OwnerReference>> {
    let wanted_uids: BTreeSet<&str> = wanted.iter().map(|owner| owner.uid.as_str()).collect();
    let mut present: BTreeSet<&str> = existing.iter().map(|owner| owner.uid.as_str()).collect();
    let is_stale = |old: &OwnerReference, new: &OwnerReference| {
        !wanted_uids.contains(old.uid.as_str()) && is_namesake(old, new)
    };
    let mut missing = Vec::new();
    for owner in wanted {
        if !owner.uid.is_empty() && present.insert(&owner.uid) {
            missing.push(owner);
        }
    }

    let mut merged = Vec::with_capacity(existing.len() + missing.len());
    for old in existing {
        if let Some(at) = missing.iter().position(|new| is_stale(old, new)) {
            merged.push(reduced(missing.remove(at)));
        } else if !wanted.iter().any(|new| !new.uid.is_empty() && is_stale(old, new)) {
            merged.push(old.clone());
        }
    }
    merged.extend(missing.into_iter().map(reduced));
    (merged != existing).then_some(merged)
}

/// The references of a pod as those of a Secret: who owns the pod shall own the Secret, but does not control it,
/// nor does its deletion wait for it.
pub fn of_pod(owner_references: &[OwnerReference]) -> Vec<OwnerReference> {
    owner_references.iter().map(reduced).collect()
}

/// True when both name the same thing, whenever that was made and in whatever version it was seen.
fn is_namesake(one: &OwnerReference, other: &OwnerReference) -> bool {
    one.name == other.name
        && one.kind == other.kind
        && group(&one.api_version) == group(&other.api_version)
        && one.uid != other.uid
}

/// The group of `group/version`; the core's is empty.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _version)| group)
}

fn reduced(owner: &OwnerReference) -> OwnerReference {
    OwnerReference { controller: None, block_owner_deletion: None, ..owner.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str) -> OwnerReference {
        OwnerReference {
            api_version: api_version.into(),
            kind: kind.into(),
            name: name.into(),
            uid: uid.into(),
            ..OwnerReference::default()
        }
    }

    fn set(name: &str, uid: &str) -> OwnerReference {
        owner("apps/v1", "ReplicaSet", name, uid)
    }

    fn controlling(owner: OwnerReference) -> OwnerReference {
        OwnerReference { controller: Some(true), block_owner_deletion: Some(true), ..owner }
    }

    #[test]
    fn what_is_missing_is_added_and_the_rest_left_alone() {
        type Row = (&'static str, Vec<OwnerReference>, Vec<OwnerReference>, Option<Vec<OwnerReference>>);
        let table: Vec<Row> = vec![
            ("nothing to nothing", vec![], vec![], None),
            ("nothing wanted", vec![set("a", "1")], vec![], None),
            ("the first owner", vec![], vec![set("a", "1")], Some(vec![set("a", "1")])),
            ("there already", vec![set("a", "1")], vec![set("a", "1")], None),
            ("there with more", vec![controlling(set("a", "1"))], vec![set("a", "1")], None),
            ("there under another name", vec![set("b", "1")], vec![set("a", "1")], None),
            (
                "one more, reduced",
                vec![controlling(set("a", "1"))],
                vec![controlling(set("b", "2"))],
                Some(vec![controlling(set("a", "1")), set("b", "2")]),
            ),
            (
                "wanted twice",
                vec![],
                vec![set("a", "1"), controlling(set("a", "1")), set("b", "2")],
                Some(vec![set("a", "1"), set("b", "2")]),
            ),
            (
                "stale, replaced in place",
                vec![set("x", "0"), controlling(set("a", "1")), set("y", "9")],
                vec![set("a", "2")],
                Some(vec![set("x", "0"), set("a", "2"), set("y", "9")]),
            ),
            (
                "stale by group, whatever the version",
                vec![owner("apps/v1beta2", "ReplicaSet", "a", "1")],
                vec![set("a", "2")],
                Some(vec![set("a", "2")]),
            ),
            (
                "same name, other kind",
                vec![owner("apps/v1", "DaemonSet", "a", "1")],
                vec![set("a", "2")],
                Some(vec![owner("apps/v1", "DaemonSet", "a", "1"), set("a", "2")]),
            ),
            (
                "same name and kind, other group",
                vec![owner("v1", "ReplicaSet", "a", "1")],
                vec![set("a", "2")],
                Some(vec![owner("v1", "ReplicaSet", "a", "1"), set("a", "2")]),
            ),
            (
                "stale twice: one reference takes both places",
                vec![set("a", "1"), set("a", "2"), set("b", "3")],
                vec![set("a", "4")],
                Some(vec![set("a", "4"), set("b", "3")]),
            ),
            (
                "stale beside the one that is wanted",
                vec![set("a", "1"), set("a", "2")],
                vec![set("a", "2")],
                Some(vec![set("a", "2")]),
            ),
            (
                "namesakes that are both wanted are both kept",
                vec![set("a", "1")],
                vec![set("a", "1"), set("a", "2")],
                Some(vec![set("a", "1"), set("a", "2")]),
            ),
            ("a wanted one without a uid", vec![set("a", "1")], vec![set("a", "")], None),
        ];
        for (name, existing, wanted, expected) in table {
            let merged = merged(&existing, &wanted);
            assert_eq!(merged, expected, "{name}");
            if let Some(merged) = merged {
                assert_eq!(super::merged(&merged, &wanted), None, "{name}: the second time");
            }
        }
    }

    #[test]
    fn a_pods_owners_are_reduced_to_who_they_are() {
        let of = [controlling(set("a", "1")), owner("v1", "Node", "n", "2")];
        assert_eq!(of_pod(&of), [set("a", "1"), owner("v1", "Node", "n", "2")]);
    }
}
