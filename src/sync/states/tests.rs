//! What happens to a Secret of a node as volumes come, change and go.

use super::*;
use crate::quarrel::{LONGEST_PAUSE, LULL};
use crate::secret_object::DataItem;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn object(name: &str) -> SecretObject {
    SecretObject {
        name: name.into(),
        kind: "Opaque".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        data: vec![DataItem { object: "foo".into(), key: "user".into() }],
    }
}

fn source(pod: &str, secrets: &[&str], changed: u64) -> Source {
    Source {
        target: TargetPath::parse(&format!("/pods/{pod}/mount"), None).unwrap(),
        pod: PodRef { namespace: "team".into(), name: pod.into(), uid: format!("uid-{pod}") },
        class: ObjectKey::new("team", "class"),
        provider: "vault".into(),
        objects: secrets.iter().map(|name| ((*name).to_owned(), object(name))).collect(),
        pod_status: OwnerReference::default(),
        changed: at(changed),
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("team", name)
}

fn settle(states: &mut SecretStates, name: &str) {
    let generation = states.view(&key(name)).unwrap().generation;
    let settled = Settled { last_written: Some(LastWritten::default()), ..Settled::default() };
    states.settle(&key(name), generation, settled, Instant::now());
}

fn newer(states: &SecretStates, name: &str) -> Newer {
    states.view(&key(name)).unwrap().newer
}

#[test]
fn what_kind_of_put_makes_a_secret_due() {
    let rows = [
        ("new content", Freshness::New, 1, Newer::Yes),
        ("the same content", Freshness::Same, 0, Newer::No),
        ("perhaps other content", Freshness::Unsure, 1, Newer::IfDifferent),
        ("an earlier process' content", Freshness::Inherited, 1, Newer::IfOlder(at(9))),
    ];
    for (name, content, due, expected) in rows {
        let mut states = SecretStates::default();
        assert_eq!(states.upsert(source("web", &["db"], 5), Freshness::New, Instant::now()).due, [key("db")]);
        settle(&mut states, "db");
        let moved = states.upsert(source("web", &["db"], 9), content, Instant::now());
        assert_eq!(moved.due.len(), due, "{name}");
        assert_eq!(newer(&states, "db"), expected, "{name}");
        assert!(moved.forsaken.is_empty(), "{name}");
    }
}

#[test]
fn a_class_that_asks_for_something_else_makes_only_that_due() {
    let mut states = SecretStates::default();
    states.upsert(source("web", &["kept", "dropped", "altered"], 5), Freshness::New, Instant::now());
    for name in ["kept", "dropped", "altered"] {
        settle(&mut states, name);
    }
    let mut changed = source("web", &["kept", "altered", "added"], 5);
    changed.objects.get_mut("altered").unwrap().labels.insert("env".into(), "test".into());
    let moved = states.upsert(changed, Freshness::Same, Instant::now());
    assert_eq!(moved, Moved { due: vec![key("added"), key("altered")], forsaken: vec![key("dropped")] });
    assert!(states.end(&key("dropped")) && states.view(&key("dropped")).is_none());
}

#[test]
fn the_volume_that_changed_last_speaks_first() {
    let mut states = SecretStates::default();
    states.upsert(source("old", &["db"], 5), Freshness::New, Instant::now());
    states.upsert(source("new", &["db"], 7), Freshness::New, Instant::now());
    let first = |states: &SecretStates| states.view(&key("db")).unwrap().sources[0].pod.name.clone();
    assert_eq!(first(&states), "new");
    states.upsert(source("old", &["db"], 9), Freshness::Same, Instant::now());
    assert_eq!(first(&states), "new", "a refresh that changes nothing makes no news");
    states.upsert(source("old", &["db"], 9), Freshness::New, Instant::now());
    assert_eq!(first(&states), "old");
    states.remove("/pods/old/mount", Instant::now());
    assert_eq!(first(&states), "new");
}

#[test]
fn what_happens_during_the_work_is_not_settled_by_it() {
    let mut states = SecretStates::default();
    states.upsert(source("web", &["db"], 5), Freshness::New, Instant::now());
    let view = states.view(&key("db")).unwrap();
    states.upsert(source("web", &["db"], 6), Freshness::New, Instant::now());
    states.settle(&key("db"), view.generation, Settled::default(), Instant::now());
    assert_eq!(newer(&states, "db"), Newer::Yes);
    settle(&mut states, "db");
    assert_eq!(newer(&states, "db"), Newer::No);
}

#[test]
fn a_secret_that_somebody_deletes_time_and_again_comes_back_ever_later() {
    let (mut states, start) = (SecretStates::default(), Instant::now());
    states.upsert(source("web", &["db"], 5), Freshness::New, Instant::now());
    let pauses: Vec<_> = (0..20)
        .map(|turn| {
            states.note_created(&key("db"), start + Duration::from_secs(turn));
            states.pause_before_recreation(&key("db"), start + Duration::from_secs(turn))
        })
        .collect();
    assert_eq!(pauses[..3], [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]);
    assert_eq!(pauses[19], LONGEST_PAUSE);
    let later = start + LULL * 2;
    assert_eq!(states.pause_before_recreation(&key("db"), later), FIRST_PAUSE, "long forgotten");
    states.note_created(&key("db"), later);
    assert_eq!(states.pause_before_recreation(&key("db"), later), FIRST_PAUSE);
}

/// Somebody changes the Secret, and a driver puts it right. How long it waited.
fn put_right(states: &mut SecretStates, now: &mut Instant) -> Duration {
    let mut pause = Duration::ZERO;
    loop {
        let left = states.wait_to_put_right(&key("db"), Duration::ZERO, *now);
        if left.is_zero() {
            break;
        }
        pause += left;
        *now += left;
    }
    let generation = states.view(&key("db")).unwrap().generation;
    states.settle(&key("db"), generation, Settled { is_right: true, ..Settled::default() }, *now);
    pause
}

#[test]
fn what_somebody_changes_time_and_again_is_put_right_ever_later_and_told_from_the_third_time_on() {
    let (mut states, mut now) = (SecretStates::default(), Instant::now());
    states.upsert(source("web", &["db"], 5), Freshness::New, now);
    settle(&mut states, "db");
    let mut notified = Vec::new();
    let pauses: Vec<_> = (0..12)
        .map(|_| {
            notified.push(states.note_quarrel(&key("db"), now));
            put_right(&mut states, &mut now).as_secs()
        })
        .collect();
    assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert_eq!(notified[..5], [false, false, false, true, true]);
    assert!(states.note_quarrel(&key("db"), now));
    assert!(!states.note_quarrel(&key("db"), now), "each time is told once");
    now += LULL;
    assert_eq!(put_right(&mut states, &mut now), Duration::ZERO, "long forgotten");
}

#[test]
fn content_that_others_wrote_and_that_is_as_it_should_be_is_no_quarrel() {
    let (mut states, now) = (SecretStates::default(), Instant::now());
    states.upsert(source("web", &["db"], 5), Freshness::New, now);
    for _ in 0..5 {
        assert_eq!(states.wait_to_put_right(&key("db"), Duration::ZERO, now), Duration::ZERO);
        let generation = states.view(&key("db")).unwrap().generation;
        states.settle(&key("db"), generation, Settled::default(), now);
    }
    assert!(!states.note_quarrel(&key("db"), now));
}

#[test]
fn a_turn_and_a_pause_are_waited_for_one_after_the_other() {
    let (mut states, mut now) = (SecretStates::default(), Instant::now());
    states.upsert(source("web", &["db"], 5), Freshness::New, now);
    put_right(&mut states, &mut now);
    put_right(&mut states, &mut now);
    let turn = Duration::from_secs(3);
    assert_eq!(states.wait_to_put_right(&key("db"), turn, now), turn + Duration::from_secs(2));
}

#[test]
fn the_stronger_claim_wins() {
    let rows = [
        (Newer::No, Newer::IfDifferent, Newer::IfDifferent),
        (Newer::Yes, Newer::No, Newer::Yes),
        (Newer::IfOlder(at(1)), Newer::IfOlder(at(2)), Newer::IfOlder(at(2))),
        (Newer::IfOlder(at(1)), Newer::Yes, Newer::Yes),
        (Newer::IfDifferent, Newer::IfOlder(at(1)), Newer::Yes),
    ];
    for (one, other, both) in rows {
        assert_eq!(one.or(other), both, "{one:?} {other:?}");
        assert_eq!(other.or(one), both, "{other:?} {one:?}");
    }
}

#[test]
fn a_recreated_pod_status_makes_its_secrets_due_without_new_content() {
    let mut states = SecretStates::default();
    states.upsert(source("web", &["db"], 5), Freshness::New, Instant::now());
    settle(&mut states, "db");
    let mut other = source("web", &["db"], 5);
    other.pod_status.uid = "again".into();
    assert_eq!(states.upsert(other, Freshness::Same, Instant::now()).due, [key("db")]);
    assert_eq!(newer(&states, "db"), Newer::No);
}

#[test]
fn a_volume_that_leaves_makes_its_secrets_due_where_others_feed_them_and_leaves_the_rest_to_be_ended() {
    let (mut states, now) = (SecretStates::default(), Instant::now());
    states.upsert(source("canary", &["shared", "own"], 5), Freshness::New, now);
    states.upsert(source("stable", &["shared"], 7), Freshness::New, now);
    settle(&mut states, "shared");
    let moved = states.remove("/pods/canary/mount", now);
    assert_eq!(moved, Moved { due: vec![key("shared")], forsaken: vec![key("own")] });
    assert_eq!(states.remove("/pods/canary/mount", now), Moved::default());

    let canary = BTreeSet::from([("class".to_owned(), "uid-canary".to_owned())]);
    let view = states.view(&key("shared")).unwrap();
    assert_eq!((view.newer, &view.departed), (Newer::No, &canary));
    assert_eq!(
        states.departed_for(&key("shared"), now + Duration::from_secs(3)),
        Some(Duration::from_secs(3))
    );
    settle(&mut states, "shared");
    assert!(states.view(&key("shared")).unwrap().departed.is_empty());
    assert_eq!(states.departed_for(&key("shared"), now), None);

    assert!(!states.end(&key("shared")), "a volume feeds it");
    assert!(states.view(&key("own")).unwrap().sources.is_empty());
    assert!(states.end(&key("own")));
    assert!(!states.end(&key("own")));
}

#[test]
fn a_secret_that_is_to_be_ended_lives_on_when_another_volume_comes() {
    let (mut states, now) = (SecretStates::default(), Instant::now());
    states.upsert(source("web", &["db"], 5), Freshness::New, now);
    assert_eq!(states.remove("/pods/web/mount", now).forsaken, [key("db")]);
    assert_eq!(states.upsert(source("next", &["db"], 6), Freshness::New, now).due, [key("db")]);
    assert!(!states.end(&key("db")));
}

#[test]
fn an_owner_that_is_lost_is_remembered_until_it_has_been_dealt_with() {
    let (mut states, now) = (SecretStates::default(), Instant::now());
    states.note_lost_owner(&key("db"));
    assert!(states.view(&key("db")).is_none());
    states.upsert(source("web", &["db"], 5), Freshness::New, now);
    let before = states.view(&key("db")).unwrap();
    states.note_lost_owner(&key("db"));
    states.settle(&key("db"), before.generation, Settled::default(), Instant::now());
    assert!(states.view(&key("db")).unwrap().has_lost_owner, "it was lost meanwhile");
    settle(&mut states, "db");
    assert!(!states.view(&key("db")).unwrap().has_lost_owner);
}

#[test]
fn a_turn_is_counted_from_the_first_look_until_the_secret_is_settled() {
    let (mut states, start) = (SecretStates::default(), Instant::now());
    let (turn, second) = (Duration::from_secs(3), Duration::from_secs(1));
    assert_eq!(states.wait_for_turn(&key("db"), turn, start), Duration::ZERO, "nobody needs it");
    states.upsert(source("web", &["db"], 5), Freshness::New, start);
    assert_eq!(states.wait_for_turn(&key("db"), turn, start), turn);
    assert_eq!(states.wait_for_turn(&key("db"), turn, start + second), turn - second);
    assert_eq!(states.wait_for_turn(&key("db"), turn, start + second * 9), Duration::ZERO);
    settle(&mut states, "db");
    assert_eq!(states.wait_for_turn(&key("db"), turn, start + second * 9), turn, "another time");
}

#[test]
fn classes_that_meet_are_news_once_while_they_do() {
    let mut states = SecretStates::default();
    states.upsert(source("web", &["db"], 5), Freshness::New, Instant::now());
    let classes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let rows = [
        ("one alone", &["a"][..], true, false),
        ("a second", &["a", "b"], false, true),
        ("the same", &["a", "b"], false, false),
        ("a third", &["a", "b", "c"], false, true),
        ("two of them", &["a", "c"], false, false),
        ("one of them for now", &["a"], false, false),
        ("two of them again", &["a", "b"], false, false),
        ("one for good", &["a"], true, false),
        ("a second anew", &["a", "b"], false, true),
    ];
    for (name, met, is_alone, is_news) in rows {
        assert_eq!(states.note_classes(&key("db"), classes(met), is_alone), is_news, "{name}");
    }
}

#[test]
fn a_namespace_is_known_as_long_as_it_has_a_secret() {
    let mut states = SecretStates::default();
    states.upsert(source("web", &["db"], 5), Freshness::New, Instant::now());
    assert!(states.has_namespace("team"));
    for other in ["tea", "team-a", "", "zone"] {
        assert!(!states.has_namespace(other), "{other}");
    }
    states.remove("/pods/web/mount", Instant::now());
    assert!(states.has_namespace("team"), "what it leaves has not been said");
    assert!(states.end(&key("db")));
    assert!(!states.has_namespace("team"));
}

#[test]
fn what_another_node_puts_right_counts_as_much_and_a_wait_for_it_begins_anew() {
    let (mut states, mut now) = (SecretStates::default(), Instant::now());
    states.upsert(source("web", &["db"], 5), Freshness::New, now);
    let turn = Duration::from_secs(2);
    assert_eq!(states.wait_to_put_right(&key("db"), turn, now), turn);
    now += Duration::from_secs(1);
    states.note_put_right(&key("db"), now);
    let pause = Duration::from_secs(1);
    assert_eq!(states.wait_to_put_right(&key("db"), turn, now), turn + pause, "it is changed back again");
    states.note_put_right(&key("db"), now);
    settle(&mut states, "db");
    assert_eq!(states.wait_to_put_right(&key("db"), turn, now), turn + pause * 2, "it counted once");
}
