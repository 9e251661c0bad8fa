//! From which pod a Secret has its content, as an annotation of the Secret says it.
//!
//! Several nodes may feed one Secret, and each of them sees no more than its metadata. The annotation tells them
//! whether the pod that fed it is still there, whose turn it is when it is not, and whether another class feeds it. It is
//! written together with the content, and only where the Secret has owners besides those of that pod: where a Secret
//! has one source there is nothing to tell.
//!
//! Pure. Whoever may edit the Secret may edit the annotation as well, and the worst that comes of it is one more
//! write of a content that is mounted somewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::types::{OwnerReference, SecretMeta};

/// A pod that feeds a Secret, on whatever node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePod {
    /// Its class, of the Secret's namespace.
    pub class: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod.
    pub uid: String,
    /// Uids of those who own the Secret on its behalf; none when it has left.
    pub owners: Vec<String>,
}

/// Where a Secret's content comes from, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fed {
    /// From this node, from another pod of a class that is here, or from nobody knows where.
    Here,
    /// From a pod of that pod's class which has left; the class lives on in this one.
    ByItsClass(SourcePod),
    /// From that pod of another class.
    Elsewhere(SourcePod),
    /// From a pod of this node that has left, and of whose class nothing is left here; nobody else knows yet.
    Left(SourcePod),
    /// From a pod that is gone.
    Nowhere,
}

impl SourcePod {
    /// The one that the Secret names.
    pub fn of(meta: &SecretMeta) -> Option<SourcePod> {
        let text = meta.annotations.get(FED_BY)?;
        let mut parts = text.split('/').map(|part| if part.len() > LONGEST_NAME { "" } else { part });
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (class, pod, uid) = (part(), part(), part());
        let owners = text.split('/').nth(3).unwrap_or_default();
        let owners = owners.split(',').filter(|owner| !owner.is_empty()).map(str::to_owned).collect();
        Some(SourcePod { class, pod, uid, owners })
    }

    /// As the annotation has it. Neither names nor uids have slashes or commas in them.
    pub fn text(&self) -> String {
        match self.owners.as_slice() {
            [] => self.class.clone(),
            owners => format!("{}/{}/{}/{}", self.class, self.pod, self.uid, owners.join(",")),
        }
    }

    /// The same class, without a pod.
    pub fn withdrawn(&self) -> SourcePod {
        SourcePod { class: self.class.clone(), ..SourcePod::default() }
    }

    /// True when the Secret is owned by others as well, so that they have to know of this one.
    pub fn has_company(&self, owners: &[OwnerReference]) -> bool {
        owners.iter().any(|owner| !self.owners.contains(&owner.uid))
    }

    /// How long this one leaves a Secret whose feeder is gone to those who own it before. Who owns it longest goes
    /// first; a pause between two is long enough for the first one's write to be seen by the next.
    pub fn turn(&self, owners: &[OwnerReference]) -> Duration {
        let place = owners.iter().position(|owner| self.owners.contains(&owner.uid)).unwrap_or(owners.len());
        TURN.saturating_mul(u32::try_from(place).unwrap_or(MOST_TURNS).min(MOST_TURNS) + 1)
    }

    fn is_withdrawn(&self) -> bool {
        self.owners.is_empty()
    }

    fn lives(&self, owners: &[OwnerReference]) -> bool {
        owners.iter().any(|owner| self.owners.contains(&owner.uid))
    }
}

/// Where the content of that Secret comes from. `here` are the pods of this node that can feed it, `departed` classes
/// and uids of those that could and cannot any longer. `has_lost_owner` says that an owner left the Secret since it was
/// last looked at, which counts where the Secret names nobody, or a pod of this node although another may have written:
/// drivers of earlier releases name nobody.
pub fn fed(
    meta: &SecretMeta,
    here: &[SourcePod],
    departed: &BTreeSet<(String, String)>,
    has_lost_owner: bool,
) -> Fed {
    let of_class = |class: &str| here.iter().find(|one| one.class == class);
    let unless = |is_lost: bool| if is_lost { Fed::Nowhere } else { Fed::Here };
    let Some(found) = SourcePod::of(meta) else {
        return unless(has_lost_owner || departed.iter().any(|(class, _)| of_class(class).is_none()));
    };
    if here.iter().any(|one| one.class == found.class && one.uid == found.uid) {
        return unless(has_lost_owner);
    }
    let has_left = departed.contains(&(found.class.clone(), found.uid.clone()));
    match of_class(&found.class) {
        Some(one) if has_left || found.is_withdrawn() => Fed::ByItsClass(one.clone()),
        None if found.is_withdrawn() => Fed::Nowhere,
        None if has_left => Fed::Left(found),
        _ if !found.lives(&meta.owners) => Fed::Nowhere,
        Some(_) => Fed::Here,
        None => Fed::Elsewhere(found),
    }
}

/// The feeder that the Secret names, if it is one of those that left a node on which nobody feeds the Secret any
/// longer, and somebody else might.
pub fn leaving(meta: &SecretMeta, departed: &BTreeSet<(String, String)>) -> Option<SourcePod> {
    let named = SourcePod::of(meta).filter(|named| meta.is_managed() && named.has_company(&meta.owners))?;
    departed.contains(&(named.class.clone(), named.uid.clone())).then_some(named)
}

/// The annotation.
pub const FED_BY: &str = "secrets-store.csi.k8s.io/fed-by";
/// In bytes: what is longer names nothing.
const LONGEST_NAME: usize = 253;
/// Long enough for a write to be seen by every node, on a machine that is busy as well.
const TURN: Duration = Duration::from_secs(1);
/// Deployments keep ten ReplicaSets that nobody speaks for any longer. Who comes after them has the last turn, and of
/// those that share it the API server lets one through.
const MOST_TURNS: u32 = 9;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use kube::types::{MANAGED, MANAGED_LABEL};

    fn source_pod(class: &str, pod: &str, owners: &[&str]) -> SourcePod {
        let owners = owners.iter().map(|owner| (*owner).to_owned()).collect();
        SourcePod { class: class.into(), pod: pod.into(), uid: format!("uid-{pod}"), owners }
    }

    fn departed(class: &str, pod: &str) -> BTreeSet<(String, String)> {
        BTreeSet::from([(class.to_owned(), format!("uid-{pod}"))])
    }

    fn owner(uid: &str) -> OwnerReference {
        OwnerReference { uid: uid.into(), ..OwnerReference::default() }
    }

    fn meta(fed_by: Option<&str>, owners: &[&str]) -> SecretMeta {
        let annotations = fed_by.map(|text| (FED_BY.to_owned(), text.to_owned()));
        SecretMeta {
            labels: BTreeMap::from([(MANAGED_LABEL.to_owned(), MANAGED.to_owned())]),
            annotations: annotations.into_iter().collect(),
            owners: owners.iter().map(|uid| owner(uid)).collect(),
            ..SecretMeta::default()
        }
    }

    #[test]
    fn the_annotation_is_read_as_it_was_written_and_anything_else_as_nobody_that_lives() {
        for one in [source_pod("canary", "web", &["a", "b"]), source_pod("canary", "web", &[]).withdrawn()] {
            assert_eq!(SourcePod::of(&meta(Some(&one.text()), &[])), Some(one));
        }
        assert_eq!(source_pod("canary", "web", &["a", "b"]).text(), "canary/web/uid-web/a,b");
        let long = "x".repeat(300);
        for text in ["", "/", "////", "a/b/c/,,", "\u{fffd}/\n", &long] {
            let read = SourcePod::of(&meta(Some(text), &["", "a"])).unwrap();
            assert!(read.class.len() <= LONGEST_NAME);
            assert!(!read.lives(&[owner(""), owner("a")]), "{text}");
        }
        assert_eq!(SourcePod::of(&meta(None, &[])), None);
    }

    #[test]
    fn where_a_content_comes_from_is_told_by_the_annotation_the_owners_and_who_is_here() {
        let (stable, canary) = (source_pod("stable", "s", &["S"]), source_pod("canary", "c", &["C"]));
        let (other, sister) = (canary.text(), source_pod("stable", "s2", &["S2"]).text());
        let rows = [
            ("nobody is named", None, vec!["S", "C"], Fed::Here),
            ("the pod of this node", Some(stable.text()), vec!["S", "C"], Fed::Here),
            ("this node's pod, whose owner somebody took off", Some(stable.text()), vec![], Fed::Here),
            ("a pod of the same class elsewhere", Some(sister.clone()), vec!["S", "S2"], Fed::Here),
            ("the same, gone", Some(sister), vec!["S", "C"], Fed::Nowhere),
            ("another class", Some(other.clone()), vec!["S", "C"], Fed::Elsewhere(canary.clone())),
            ("another class, gone", Some(other), vec!["S", "X"], Fed::Nowhere),
            ("another class, withdrawn", Some("canary".to_owned()), vec!["S", "C"], Fed::Nowhere),
            ("this class, withdrawn", Some("stable".to_owned()), vec!["S"], Fed::ByItsClass(stable.clone())),
        ];
        for (name, fed_by, owners, expected) in rows {
            let meta = meta(fed_by.as_deref(), &owners);
            assert_eq!(
                fed(&meta, std::slice::from_ref(&stable), &BTreeSet::new(), false),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_pod_that_left_this_node_is_told_of_unless_its_class_is_still_here() {
        let (stable, canary) = (source_pod("stable", "s", &["S"]), source_pod("canary", "c", &["C"]));
        let fed_by_canary = meta(Some(&canary.text()), &["S", "C"]);
        let departed = departed("canary", "c");
        let is_fed = |here: &[SourcePod]| fed(&fed_by_canary, here, &departed, false);
        assert_eq!(is_fed(std::slice::from_ref(&stable)), Fed::Left(canary.clone()));
        let next = source_pod("canary", "c2", &["C"]);
        assert_eq!(is_fed(&[stable.clone(), next.clone()]), Fed::ByItsClass(next.clone()));
        assert_eq!(is_fed(std::slice::from_ref(&canary)), Fed::Here, "another volume of the same pod");

        let by_nobody = |here: &[SourcePod]| fed(&meta(None, &["S", "C"]), here, &departed, false);
        assert_eq!(by_nobody(std::slice::from_ref(&stable)), Fed::Nowhere, "it may have been the one");
        assert_eq!(by_nobody(&[stable, next]), Fed::Here);
    }

    #[test]
    fn who_leaves_a_node_for_good_tells_only_where_it_fed_and_is_not_alone() {
        let canary = source_pod("canary", "c", &["C"]);
        let rows = [
            ("it fed, and others own", Some(canary.text()), vec!["S", "C"], departed("canary", "c"), true),
            ("it fed alone", Some(canary.text()), vec!["C"], departed("canary", "c"), false),
            ("another fed", Some(canary.text()), vec!["S", "C"], departed("canary", "d"), false),
            ("its other class fed", Some(canary.text()), vec!["S", "C"], departed("stable", "c"), false),
            ("nobody is named", None, vec!["S", "C"], departed("canary", "c"), false),
            ("it has said so", Some("canary".to_owned()), vec!["S", "C"], departed("canary", "c"), false),
        ];
        for (name, fed_by, owners, departed, tells) in rows {
            assert_eq!(leaving(&meta(fed_by.as_deref(), &owners), &departed).is_some(), tells, "{name}");
        }
        let foreign = SecretMeta { labels: BTreeMap::new(), ..meta(Some(&canary.text()), &["S", "C"]) };
        assert_eq!(leaving(&foreign, &departed("canary", "c")), None, "it is not the driver's any longer");
    }

    #[test]
    fn an_owner_that_was_lost_counts_where_the_annotation_does_not_tell_who_is_gone() {
        let (stable, canary) = (source_pod("stable", "s", &["S"]), source_pod("canary", "c", &["C"]));
        let rows = [
            ("nobody is named", None, Fed::Nowhere),
            ("this node's own pod", Some(stable.text()), Fed::Nowhere),
            ("somebody who lives", Some(canary.text()), Fed::Elsewhere(canary)),
        ];
        for (name, fed_by, expected) in rows {
            let meta = meta(fed_by.as_deref(), &["S", "C"]);
            assert_eq!(fed(&meta, std::slice::from_ref(&stable), &BTreeSet::new(), true), expected, "{name}");
        }
    }

    #[test]
    fn who_owns_a_secret_longest_has_the_first_turn_and_everybody_has_one() {
        let owners: Vec<_> = (0..40).map(|number| owner(&number.to_string())).collect();
        let turn = |uid: &str| source_pod("x", "x", &[uid]).turn(&owners);
        assert_eq!((turn("0"), turn("1"), turn("4")), (TURN, TURN * 2, TURN * 5));
        assert_eq!((turn("39"), turn("nobody")), (TURN * 10, TURN * 10));
        assert_eq!(source_pod("x", "x", &["7", "2"]).turn(&owners), TURN * 3);
    }

    #[test]
    fn a_secret_with_owners_of_one_pod_alone_has_nobody_to_tell() {
        let one = source_pod("x", "x", &["a", "b"]);
        assert!(!one.has_company(&[owner("a")]) && !one.has_company(&[]));
        assert!(one.has_company(&[owner("a"), owner("c")]));
    }
}
