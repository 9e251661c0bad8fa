//! The event sink against the API server double.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use super::*;
use api_server::{ApiServer, Matcher};

const PATIENCE: Duration = Duration::from_secs(30);

const REASON: Reason = Reason { name: "RefreshFailed", component: "secrets-store-csi-driver" };

fn sink(server: &ApiServer) -> (EventSink, Arc<Mutex<Vec<Dropped>>>) {
    let config = ClusterConfig {
        server: server.url(),
        ca_file: None,
        token_file: None,
        request_timeout: PATIENCE,
        user_agent: "test".into(),
    };
    let client = Client::new(&config, Arc::new(|_, _| ())).unwrap();
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&dropped);
    let settings = EventSettings {
        node: "n1".into(),
        wall: || SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000),
    };
    (EventSink::start(client, settings, move |why| seen.lock().unwrap().push(why)).unwrap(), dropped)
}

fn pod(name: &str) -> PodRef {
    PodRef { namespace: "team".into(), name: name.into(), uid: format!("uid-of-{name}") }
}

#[test]
fn a_warning_appears_on_the_pod() {
    let server = ApiServer::start();
    let (sink, dropped) = sink(&server);
    sink.warn(&pod("web"), REASON, format!("could not\nrefresh {}", "x".repeat(5000)));
    assert!(server.wait(PATIENCE, |server| !server.events_for("web").is_empty()));
    let event = server.events_for("web").remove(0);
    let expected = serde_json::json!({
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "namespace": "team", "name": "web", "uid": "uid-of-web",
        },
        "type": "Warning", "reason": "RefreshFailed", "count": 1,
        "source": {"component": "secrets-store-csi-driver", "host": "n1"},
        "firstTimestamp": "2001-09-09T01:46:40Z", "lastTimestamp": "2001-09-09T01:46:40Z",
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(event[field], *value, "{field}");
    }
    let message = event["message"].as_str().unwrap();
    assert!(message.starts_with("could not\\nrefresh xxx") && message.len() == 1024, "{}", message.len());
    assert!(dropped.lock().unwrap().is_empty());
}

#[test]
fn repetitions_are_dropped_and_counted() {
    let server = ApiServer::start();
    let (sink, dropped) = sink(&server);
    for _ in 0..10 {
        sink.warn(&pod("web"), REASON, "the same".into());
    }
    sink.stop();
    assert_eq!(server.events_for("web").len(), 1);
    assert_eq!(*dropped.lock().unwrap(), [Dropped::Repeated; 9]);
}

#[test]
fn what_is_queued_is_posted_at_the_end_and_later_events_are_dropped() {
    let server = ApiServer::start();
    let (sink, dropped) = sink(&server);
    for name in ["a", "b", "c"] {
        sink.warn(&pod(name), REASON, "m".into());
    }
    sink.stop();
    assert_eq!(server.list("/api/v1/namespaces/team/events").len(), 3);
    sink.warn(&pod("d"), REASON, "m".into());
    sink.stop();
    assert_eq!(*dropped.lock().unwrap(), [Dropped::Stopped]);
}

#[test]
fn a_silent_server_delays_neither_the_caller_nor_the_end() {
    let server = ApiServer::start();
    server.hang(Matcher::any());
    let (sink, dropped) = sink(&server);
    let started = Instant::now();
    for pod_number in 0..20 {
        sink.warn(&pod(&format!("p{pod_number}")), REASON, "m".into());
    }
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let started = Instant::now();
    sink.stop();
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(dropped.lock().unwrap().len(), 20);
}

#[test]
fn a_hostile_pod_name_is_dropped_without_a_request() {
    let server = ApiServer::start();
    let (sink, dropped) = sink(&server);
    sink.warn(&PodRef { namespace: "../secrets".into(), ..pod("web") }, REASON, "m".into());
    sink.warn(&PodRef { name: "a/../b".into(), ..pod("other") }, REASON, "m".into());
    sink.stop();
    assert!(server.requests().is_empty());
    assert_eq!(*dropped.lock().unwrap(), [Dropped::Refused; 2]);
}
