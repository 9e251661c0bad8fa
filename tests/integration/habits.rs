//! What real providers do, and what must come of it: the list of objects is what a provider answered now, "changed"
//! is about content, and nothing is ever read back from the volume.

use serde_json::{Value, json};

use kit::habits::{self, Store, id_of};
use kit::objects::pod_status_path;
use kit::scene::{ALWAYS, Scene};

const KIND: &str = "secretproviderclasspodstatuses";

fn objects(scene: &Scene) -> Vec<Value> {
    let status = scene.world.api.get(&pod_status_path("default", "web", "db")).expect("it is written");
    status["status"]["objects"].as_array().expect("a list").clone()
}

fn ids(scene: &Scene) -> Vec<String> {
    objects(scene).iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

fn rotations(scene: &Scene) -> f64 {
    scene.world.count("rotation_reconcile_total", &[("rotated", "true")])
}

/// Writes of pod statuses after the first.
fn status_writes(scene: &Scene) -> usize {
    ["create", "update", "patch"].iter().map(|verb| scene.world.api.count(verb, KIND)).sum::<usize>() - 1
}

fn many() -> Store {
    Store::holding(&[("a", "1"), ("b", "2"), ("c", "3"), ("d/e", "4"), ("f", "5"), ("g", "6"), ("h", "7")])
}

#[test]
fn an_answer_in_another_order_is_no_change_whoever_writes_the_files() {
    let store = many();
    let by_driver = Scene::scripted(&ALWAYS, habits::in_random_order(&store));
    let by_provider = Scene::scripted(&ALWAYS, habits::writing_itself(&store));
    for (name, scene) in [("the driver", by_driver), ("the provider", by_provider)] {
        for _ in 0..6 {
            scene.publish();
        }
        assert_eq!((rotations(&scene), status_writes(&scene)), (0.0, 0), "written by {name}");
        let mut sorted = ids(&scene);
        sorted.sort();
        assert_eq!((ids(&scene), sorted.len()), (sorted, 7), "written by {name}");
    }
}

#[test]
fn what_a_provider_has_written_itself_anew_counts_as_a_change_once() {
    let store = many();
    let scene = Scene::scripted(&ALWAYS, habits::writing_itself(&store));
    scene.publish();
    store.set("a", "news");
    for _ in 0..3 {
        scene.publish();
    }
    assert_eq!((scene.pod.read("a"), rotations(&scene)), ("news".to_owned(), 1.0));
}

#[test]
fn an_object_that_left_the_class_leaves_the_pod_status() {
    let store = Store::holding(&[("stays", "1"), ("leaves", "2")]);
    let scene = Scene::scripted(&ALWAYS, habits::starting_from_the_versions_sent(&store));
    scene.publish();
    assert_eq!(ids(&scene), [id_of("leaves"), id_of("stays")]);
    store.remove("leaves");
    scene.publish();
    assert_eq!(ids(&scene), [id_of("stays")]);
    assert_eq!(scene.pod.visible(), ["stays"]);
}

#[test]
fn a_provider_is_never_sent_versions_and_so_has_nothing_to_read_back() {
    let store = Store::holding(&[("password", "old")]);
    let mut scene = Scene::scripted(&ALWAYS, habits::reading_back(&store));
    let is_sent_none = |scene: &Scene| scene.provider.last().current_object_version.is_empty();
    scene.publish();
    assert!(is_sent_none(&scene), "at the first publish");
    store.set("password", "new");
    scene.publish();
    assert_eq!(scene.pod.read("password"), "new", "fetched, not found in the volume");
    assert!(is_sent_none(&scene), "at a refresh");
    scene.provider.script(habits::answering_a_deadline_of_its_own);
    scene.publish();
    scene.provider.script(habits::reading_back(&store));
    scene.publish();
    assert!(is_sent_none(&scene), "after a failure");
    scene.world.start_driver();
    store.set("password", "newer");
    scene.publish();
    assert_eq!(scene.pod.read("password"), "newer");
    assert!(is_sent_none(&scene), "after a restart");
}

#[test]
fn an_id_that_is_answered_twice_is_listed_once_with_its_last_version() {
    let store = Store::holding(&[("one", "1"), ("two", "2")]);
    let scene = Scene::scripted(&ALWAYS, habits::ordinary(&store));
    scene.publish();
    let once = objects(&scene);
    scene.provider.script(habits::repeating_an_id(&store));
    scene.publish();
    assert_eq!(objects(&scene), once);
    assert_eq!(status_writes(&scene), 0);
    assert_ne!(once[0]["version"], json!("of another path"));
}

#[test]
fn content_that_changes_under_one_version_is_written_and_the_pod_status_stays() {
    let store = Store::holding(&[("password", "old")]);
    let scene = Scene::scripted(&ALWAYS, habits::never_changing_its_version(&store));
    scene.publish();
    store.set("password", "new");
    scene.publish();
    assert_eq!((scene.pod.read("password"), rotations(&scene)), ("new".to_owned(), 1.0));
    assert_eq!(
        (objects(&scene), status_writes(&scene)),
        (vec![json!({"id": "secret/password", "version": "1"})], 0)
    );
}

#[test]
fn a_version_that_changes_each_time_is_told_and_is_no_change_of_content() {
    let store = Store::holding(&[("password", "same")]);
    let scene = Scene::scripted(&ALWAYS, habits::changing_its_version_each_time(&store));
    scene.publish();
    let generation = scene.pod.generation();
    for turn in 1..4 {
        scene.publish();
        assert_eq!(objects(&scene)[0]["version"], format!("answer-{turn}"));
    }
    assert_eq!((rotations(&scene), scene.pod.generation()), (0.0, generation));
}
