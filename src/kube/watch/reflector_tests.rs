//! The reflector against the API server double, over real sockets.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::client::Client;
use crate::config::ClusterConfig;
use crate::types::{ObjectKey, SecretProviderClass};
use api_server::{ApiServer, Matcher};

/// Generous, because a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(30);
const CLASSES_PATH: &str = "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses";

/// A server, a cache of its classes, and what the cache's listener and the reflector's pauses were.
struct Rig {
    server: Arc<ApiServer>,
    cache: Arc<Cache<SecretProviderClass>>,
    news: Receiver<String>,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

fn class(name: &str, provider: &str) -> serde_json::Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"namespace": "team", "name": name}, "spec": {"provider": provider},
    })
}

impl Rig {
    fn start(stage: impl FnOnce(&ApiServer)) -> Rig {
        let server = Arc::new(ApiServer::start());
        stage(&server);
        let config = ClusterConfig {
            server: server.url(),
            ca_file: None,
            token_file: None,
            request_timeout: PATIENCE,
            user_agent: "csi-secrets-store/test".to_owned(),
        };
        let client = Client::new(&config, Arc::new(|_: &str, _: &str| {})).unwrap();
        let (told, news) = channel();
        let cache = Arc::new(Cache::of_picked(|_| true, noting(told)));
        let pauses = Arc::<Mutex<Vec<Duration>>>::default();
        let noted = Arc::clone(&pauses);
        // Pauses are noted and cut short: the tests would otherwise take as long as an outage.
        let pause = move |time: Duration| {
            let mut pauses = noted.lock().unwrap();
            pauses.push(time);
            std::thread::sleep(Duration::from_millis(5));
            pauses.len() > 1000
        };
        Reflector::start("test", client, Selection::default(), Arc::clone(&cache), pause).unwrap();
        Rig { server, cache, news, pauses }
    }

    fn expect(&self, expected: &[&str]) {
        for expected in expected {
            let mut others = Vec::new();
            loop {
                match self.news.recv_timeout(PATIENCE) {
                    Ok(news) if news == *expected => break,
                    Ok(news) => others.push(news),
                    Err(_) => panic!("no {expected:?}, but {others:?}"),
                }
            }
        }
    }
}

fn noting(told: Sender<String>) -> impl Fn(Change<'_, SecretProviderClass>) + Send + Sync + 'static {
    let told = Mutex::new(told);
    move |change| {
        let provider =
            |class: Option<&SecretProviderClass>| class.map_or("-".to_owned(), |c| c.provider.clone());
        let text = match change {
            Change::Object { key, before, now } => format!("{key} {} {}", provider(before), provider(now)),
            Change::State(state) => format!("{state:?}"),
        };
        told.lock().unwrap().send(text).ok();
    }
}

#[test]
fn what_exists_and_what_happens_is_told() {
    let rig = Rig::start(|server| drop(server.put(class("a", "one"))));
    rig.expect(&["team/a - one", "Current"]);
    rig.server.put(class("a", "two"));
    rig.server.put(class("b", "new"));
    rig.expect(&["team/a one two", "team/b - new"]);
    rig.server.delete("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/team/secretproviderclasses/a");
    rig.expect(&["team/a two -"]);
    assert!(rig.cache.get_current(&ObjectKey::new("team", "b")).is_some());
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke_without_a_new_list() {
    let rig = Rig::start(|server| drop(server.put(class("a", "one"))));
    rig.expect(&["Current"]);
    rig.server.put(class("a", "two"));
    rig.expect(&["team/a one two"]);
    rig.server.close_connections();
    rig.expect(&["Behind", "Current"]);
    rig.server.put(class("a", "three"));
    rig.expect(&["team/a two three"]);
    assert_eq!(rig.server.count("list", CLASSES_PATH), 1);
}

#[test]
fn a_server_that_is_away_is_missed_nothing_of() {
    let rig = Rig::start(|server| drop(server.put(class("a", "one"))));
    rig.expect(&["Current"]);
    rig.server.stop();
    rig.expect(&["Behind"]);
    rig.server.put(class("a", "two"));
    rig.server.put(class("b", "new"));
    rig.server.resume();
    rig.expect(&["team/a one two", "team/b - new"]);
}

#[test]
fn a_version_that_the_server_forgot_leads_to_a_new_list_that_tells_what_went() {
    let rig = Rig::start(|server| {
        server.put(class("a", "one"));
        server.put(class("b", "one"));
    });
    rig.expect(&["Current"]);
    rig.server.stop();
    rig.server.delete("/apis/secrets-store.csi.x-k8s.io/v1/namespaces/team/secretproviderclasses/a");
    for number in 0..5_000 {
        rig.server.put(class("b", &format!("p{number}")));
    }
    rig.server.resume();
    rig.expect(&["team/a one -"]);
    assert_eq!(rig.server.count("list", CLASSES_PATH), 2);
    assert_eq!(rig.cache.get(&ObjectKey::new("team", "b")).unwrap().provider, "p4999");
}

#[test]
fn a_missing_permission_pauses_for_a_minute_and_is_noticed_when_it_comes() {
    let rig = Rig::start(|server| {
        server.put(class("a", "one"));
        server.fail_next(2, Matcher::verb("list").and_path(CLASSES_PATH), 403, None);
    });
    rig.expect(&["Forbidden", "team/a - one", "Current"]);
    let pauses = rig.pauses.lock().unwrap().clone();
    assert!(pauses.iter().take(2).all(|pause| *pause >= Duration::from_secs(60)), "{pauses:?}");
}

#[test]
fn a_line_that_is_no_event_is_survived_by_a_new_list() {
    let rig = Rig::start(|server| {
        server.put(class("a", "one"));
        server.answer_next(1, Matcher::verb("watch").and_path(CLASSES_PATH), 200, "hunter2\n");
    });
    rig.expect(&["team/a - one", "Current"]);
    rig.server.put(class("a", "two"));
    rig.expect(&["team/a one two"]);
    assert_eq!(rig.server.count("list", CLASSES_PATH), 2);
}

#[test]
fn a_list_that_never_ends_is_given_up_with_a_pause_and_begun_again() {
    let rig = Rig::start(|server| {
        server.put(class("a", "one"));
        let page =
            json!({"metadata": {"resourceVersion": "5", "continue": "again"}, "items": []}).to_string();
        server.answer_next(4, Matcher::verb("list").and_path(CLASSES_PATH), 200, page);
    });
    rig.expect(&["team/a - one", "Current"]);
    let pauses = rig.pauses.lock().unwrap().clone();
    assert_eq!(pauses.iter().filter(|pause| **pause >= Duration::from_millis(250)).count(), 2, "{pauses:?}");
    assert_eq!(rig.server.count("list", CLASSES_PATH), 5, "the same token twice is enough to know");
}

#[test]
fn objects_of_any_size_are_listed_and_watched() {
    let large = |name: &str, provider: &str| {
        let mut class = class(name, provider);
        class["metadata"]["annotations"] = json!({"note": "<".repeat(6 << 20)});
        class
    };
    let rig = Rig::start(|server| {
        server.put(large("a", "one"));
        server.put(class("b", "one"));
    });
    rig.expect(&["team/a - one", "team/b - one", "Current"]);
    rig.server.put(large("a", "two"));
    rig.server.put(class("b", "two"));
    rig.expect(&["team/a one two", "team/b one two"]);
    assert_eq!((rig.server.count("list", CLASSES_PATH), rig.pauses.lock().unwrap().len()), (1, 0));
}
