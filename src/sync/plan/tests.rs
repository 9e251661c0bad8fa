//! The table of what is done to a Secret in which state.

use super::*;
use std::sync::Arc;

use kube::types::{MANAGED, ObjectKey, Writers};

const NEWER: Claim = Claim::Write { is_heir: false };
const HEIR: Claim = Claim::Write { is_heir: true };
const AS_BEFORE: Claim = Claim::Repair;

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn digests(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(key, digest)| ((*key).to_owned(), *digest)).collect()
}

fn owner(name: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        ..OwnerReference::default()
    }
}

/// A Secret with one key and one label, both written by the driver, owned by `web`.
fn meta() -> SecretMeta {
    let names = |names: &[&str]| Written {
        ours: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Written::default()
    };
    SecretMeta {
        key: ObjectKey::new("team", "db"),
        uid: "u".into(),
        resource_version: "5".into(),
        labels: texts(&[(MANAGED_LABEL, MANAGED), ("env", "test")]),
        annotations: texts(&[("note", "x")]),
        owners: vec![owner("web")],
        writers: Writers {
            data: names(&["user"]),
            labels: names(&[MANAGED_LABEL, "env"]),
            annotations: names(&["note"]),
            at: "2026-01-01T00:00:00Z".into(),
        },
    }
}

/// The pod of that ReplicaSet.
fn source_pod(set: &str) -> SourcePod {
    let (class, pod, uid) = (format!("class-{set}"), format!("{set}-1"), format!("uid-{set}-1"));
    SourcePod { class, pod, uid, owners: vec![format!("uid-{set}")] }
}

/// The Secret of [`meta`], fed by that pod and owned by both.
fn fed_by(set: &str) -> SecretMeta {
    let mut meta = meta();
    meta.annotations.insert(FED_BY.into(), source_pod(set).text());
    meta.owners.push(owner("api"));
    meta
}

fn desired() -> Desired {
    Desired {
        source_pod: source_pod("web"),
        kind: "Opaque".into(),
        labels: texts(&[(MANAGED_LABEL, MANAGED), ("env", "test")]),
        annotations: texts(&[("note", "x")]),
        data: BTreeMap::from([("user".to_owned(), SecretBytes::default())]),
        digests: digests(&[("user", 1)]),
    }
}

fn last_written() -> LastWritten {
    LastWritten {
        at: ("u".into(), "5".into()),
        kind: "Opaque".into(),
        digests: digests(&[("user", 1)]),
        labels: vec![MANAGED_LABEL.into(), "env".into()],
        annotations: vec!["note".into()],
    }
}

fn written_by_others(keys: &[&str]) -> Written {
    let theirs = keys.iter().map(|key| ((*key).to_owned(), Arc::from("kubectl"))).collect();
    Written { theirs, ..Written::default() }
}

fn changed(change: impl FnOnce(&mut Changes)) -> Plan {
    let mut changes = Changes::default();
    change(&mut changes);
    Plan::Change(changes)
}

fn planned(meta: &SecretMeta, last_written: Option<&LastWritten>, desired: &Desired, claim: Claim) -> Plan {
    plan(meta, last_written, desired, &[owner("web")], &claim)
}

#[test]
fn nothing_is_done_when_nothing_differs() {
    assert_eq!(planned(&meta(), Some(&last_written()), &desired(), AS_BEFORE), Plan::Nothing);
    assert_eq!(planned(&meta(), Some(&last_written()), &desired(), NEWER), Plan::Nothing);
}

#[test]
fn new_content_is_written_key_by_key_and_what_the_driver_no_longer_declares_goes() {
    let mut desired = desired();
    desired.digests = digests(&[("user", 2), ("pass", 3)]);
    let last_written = LastWritten {
        digests: digests(&[("user", 1), ("old", 9), ("theirs", 9), ("both", 9), ("unnoted", 9)]),
        ..last_written()
    };
    let mut meta = meta();
    meta.writers.data.ours.extend(["old", "both"].map(str::to_owned));
    meta.writers.data.theirs.extend(["theirs", "both"].map(|key| (key.to_owned(), Arc::from("x"))));
    let plan = planned(&meta, Some(&last_written), &desired, NEWER);
    let data = [("user", Presence::Present), ("pass", Presence::Present), ("old", Presence::Absent)];
    let data = data.map(|(key, presence)| (key.to_owned(), presence)).into();
    assert_eq!(plan, changed(|changes| changes.data = data));
}

#[test]
fn a_secret_whose_content_is_not_known_is_read_before_it_is_written() {
    let elsewhere = LastWritten { at: ("u".into(), "4".into()), ..last_written() };
    let recreated = LastWritten { at: ("other".into(), "5".into()), ..last_written() };
    for last_written in [None, Some(&elsewhere), Some(&recreated)] {
        assert_eq!(planned(&meta(), last_written, &desired(), NEWER), Plan::Read);
    }
}

#[test]
fn what_the_driver_wrote_on_another_node_stays_until_there_is_something_newer_here() {
    let mut theirs = meta();
    theirs.labels = texts(&[(MANAGED_LABEL, MANAGED), ("env", "another class's")]);
    assert_eq!(planned(&theirs, None, &desired(), AS_BEFORE), Plan::Nothing);
    let mut desired = desired();
    desired.digests = digests(&[("user", 7)]);
    assert_eq!(planned(&theirs, Some(&last_written()), &desired, AS_BEFORE), Plan::Nothing);
}

#[test]
fn what_others_changed_is_put_right() {
    let mut edited = meta();
    edited.writers.data = written_by_others(&["user"]);
    assert_eq!(planned(&edited, None, &desired(), AS_BEFORE), Plan::Read);
    let found = LastWritten { digests: digests(&[("user", 8)]), ..last_written() };
    let data = BTreeMap::from([("user".to_owned(), Presence::Present)]);
    assert_eq!(planned(&edited, Some(&found), &desired(), AS_BEFORE), changed(|changes| changes.data = data));
    assert_eq!(
        planned(&edited, Some(&last_written()), &desired(), AS_BEFORE),
        Plan::Nothing,
        "the same content"
    );

    let mut relabelled = meta();
    relabelled.labels = texts(&[(MANAGED_LABEL, MANAGED), ("env", "prod"), ("theirs", "kept")]);
    relabelled.writers.labels.ours.remove("env");
    let labels = BTreeMap::from([("env".to_owned(), Some("test".to_owned()))]);
    let put_right = changed(|changes| changes.labels = labels);
    assert_eq!(planned(&relabelled, Some(&last_written()), &desired(), AS_BEFORE), put_right);
}

#[test]
fn labels_and_annotations_that_the_class_dropped_go_and_foreign_ones_stay() {
    let mut found = meta();
    found.labels.insert("theirs".into(), "kept".into());
    let mut desired = desired();
    desired.labels = texts(&[(MANAGED_LABEL, MANAGED), ("tier", "db")]);
    desired.annotations.clear();
    let plan = planned(&found, Some(&last_written()), &desired, NEWER);
    let expected = changed(|changes| {
        changes.labels =
            BTreeMap::from([("env".to_owned(), None), ("tier".to_owned(), Some("db".to_owned()))]);
        changes.annotations = BTreeMap::from([("note".to_owned(), None)]);
    });
    assert_eq!(plan, expected);
}

#[test]
fn an_owner_is_added_without_touching_or_reading_anything_else() {
    let plan = plan(&meta(), None, &desired(), &[owner("api")], &AS_BEFORE);
    let both = vec![owner("web"), owner("api")];
    assert_eq!(plan, changed(|changes| changes.owners = Some(both)));
    let Plan::Change(changes) = plan else { unreachable!() };
    assert!(changes.is_owners_only());
}

#[test]
fn a_secret_that_nobody_handed_over_is_never_touched() {
    for labels in [texts(&[]), texts(&[(MANAGED_LABEL, "false")])] {
        let foreign = SecretMeta { labels, ..meta() };
        let refused = Plan::Refuse(Refusal::NotManaged);
        assert_eq!(planned(&foreign, Some(&last_written()), &desired(), NEWER), refused);
        assert_eq!(plan(&foreign, None, &desired(), &[owner("api")], &AS_BEFORE), refused);
    }
}

#[test]
fn a_secret_of_another_type_is_left_alone() {
    let found = LastWritten { kind: "kubernetes.io/tls".into(), ..last_written() };
    let refused = Plan::Refuse(Refusal::OtherType { found: "kubernetes.io/tls".into() });
    assert_eq!(planned(&meta(), Some(&found), &desired(), NEWER), refused);
}

#[test]
fn a_write_names_its_feeder_where_the_secret_has_other_owners_and_nowhere_else() {
    let mut desired = desired();
    desired.digests = digests(&[("user", 2)]);
    let data = BTreeMap::from([("user".to_owned(), Presence::Present)]);
    let named = |meta: &SecretMeta, owners: &[OwnerReference]| {
        let Plan::Change(changes) = plan(meta, Some(&last_written()), &desired, owners, &NEWER) else {
            unreachable!("it differs")
        };
        assert_eq!(changes.data, data);
        changes.source_pod
    };
    assert_eq!(named(&meta(), &[owner("web")]), None, "alone");
    assert_eq!(named(&meta(), &[owner("web"), owner("api")]), Some(source_pod("web")), "with one that comes");
    assert_eq!(named(&fed_by("api"), &[owner("web")]), Some(source_pod("web")));
    assert_eq!(named(&fed_by("web"), &[owner("web")]), None, "it does already");
    let mut alone_again = fed_by("api");
    alone_again.owners.truncate(1);
    assert_eq!(named(&alone_again, &[owner("web")]), Some(source_pod("web")), "what is wrong does not stay");
}

#[test]
fn who_takes_over_says_so_though_the_content_is_the_same() {
    let orphan = fed_by("api");
    let takes_over = changed(|changes| changes.source_pod = Some(source_pod("web")));
    assert_eq!(planned(&orphan, Some(&last_written()), &desired(), HEIR), takes_over);
    assert_eq!(
        planned(&orphan, Some(&last_written()), &desired(), NEWER),
        Plan::Nothing,
        "it is fed by another"
    );
    assert_eq!(planned(&fed_by("web"), Some(&last_written()), &desired(), HEIR), Plan::Nothing, "it has");
    assert_eq!(planned(&orphan, None, &desired(), HEIR), Plan::Read);
    assert_eq!(
        planned(&meta(), Some(&last_written()), &desired(), HEIR),
        Plan::Nothing,
        "there is nobody to tell"
    );
}

#[test]
fn a_class_that_lives_on_is_named_without_a_look_at_the_content() {
    let remark = Claim::Remark(source_pod("web"));
    let expected = changed(|changes| changes.source_pod = Some(source_pod("web")));
    assert_eq!(planned(&fed_by("api"), None, &desired(), remark), expected);
}

#[test]
fn what_is_another_nodes_turn_is_left_but_for_labels_and_owners() {
    let mut edited = fed_by("api");
    edited.writers.data = written_by_others(&["user"]);
    let mut desired = desired();
    desired.digests = digests(&[("user", 7)]);
    assert!(is_edited(&edited, &desired));
    assert_eq!(planned(&edited, Some(&last_written()), &desired, Claim::Leave), Plan::Nothing);
    assert_eq!(planned(&edited, None, &desired, Claim::Leave), Plan::Nothing);
    let owners = [owner("web"), owner("new")];
    let Plan::Change(changes) = plan(&edited, None, &desired, &owners, &Claim::Leave) else {
        unreachable!("an owner is missing")
    };
    assert!(changes.is_owners_only());
}

#[test]
fn keys_of_others_beside_the_declared_ones_are_neither_read_nor_written() {
    let mut meta = meta();
    meta.writers.data.theirs = written_by_others(&["token", "ca.crt"]).theirs;
    for claim in [AS_BEFORE, Claim::Leave, Claim::Pause] {
        assert_eq!(planned(&meta, None, &desired(), claim), Plan::Nothing);
    }
    let last_written =
        LastWritten { digests: digests(&[("user", 1), ("token", 9), ("ca.crt", 9)]), ..last_written() };
    assert_eq!(planned(&meta, Some(&last_written), &desired(), NEWER), Plan::Nothing, "nor with news");
}

#[test]
fn while_a_quarrel_pauses_nothing_that_others_changed_is_touched_but_a_new_owner_comes() {
    let mut edited = meta();
    edited.writers.data = written_by_others(&["user"]);
    edited.labels = texts(&[(MANAGED_LABEL, MANAGED)]);
    edited.writers.labels.ours.remove("env");
    edited.annotations.clear();
    edited.writers.annotations = Written::default();
    for last_written in [None, Some(&last_written())] {
        assert_eq!(planned(&edited, last_written, &desired(), Claim::Pause), Plan::Nothing);
    }
    let Plan::Change(changes) = plan(&edited, None, &desired(), &[owner("web"), owner("new")], &Claim::Pause)
    else {
        unreachable!("an owner is missing")
    };
    assert!(changes.is_owners_only());
}
