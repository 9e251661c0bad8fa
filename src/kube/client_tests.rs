//! The client against the API server double, over real sockets.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::token::LARGEST_TOKEN_BYTES;
use super::*;
use api_server::{ApiServer, Close, Matcher, Settings};

/// Generous, because a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_secs(30);
const CLASS_PATH: &str = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/team/secretproviderclasses/db";
const STATUS_PATH: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/team/secretproviderclasspodstatuses/s";

/// A client, what it observed, and the files it reads.
struct Rig {
    server: ApiServer,
    client: Client,
    observed: Arc<Mutex<Vec<(String, String)>>>,
    files: Files,
}

struct Files(PathBuf);

impl Files {
    fn new() -> Files {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let directory = std::env::temp_dir().join(format!("kube-client-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Files(directory)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Rig {
    fn plain() -> Rig {
        Rig::with(Settings::default(), PATIENCE)
    }

    fn with(settings: Settings, request_timeout: Duration) -> Rig {
        let files = Files::new();
        let token_file = settings.token.as_ref().map(|token| files.write("token", token));
        let is_tls = settings.tls;
        let server = ApiServer::with(settings);
        let config = ClusterConfig {
            server: server.url(),
            ca_file: is_tls.then(|| files.write("ca.crt", &server.ca_pem())),
            token_file,
            request_timeout,
            user_agent: "csi-secrets-store/controller/test (linux/amd64) abc/now".to_owned(),
        };
        let observed = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&observed);
        let observer = Arc::new(move |verb: &str, code: &str| {
            seen.lock().unwrap().push((verb.to_owned(), code.to_owned()));
        });
        let client = Client::new(&config, observer).unwrap();
        Rig { server, client, observed, files }
    }

    fn with_class() -> Rig {
        let rig = Rig::plain();
        rig.server.put(class());
        rig
    }

    fn class(&self) -> Result<SecretProviderClass, ApiError> {
        self.client.class("team", "db", Budget::lasting(PATIENCE))
    }

    fn codes(&self) -> Vec<String> {
        self.observed.lock().unwrap().iter().map(|(_, code)| code.clone()).collect()
    }
}

fn class() -> Value {
    json!({
        "apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
        "metadata": {"name": "db", "namespace": "team"},
        "spec": {"provider": "vault", "parameters": {"role": "r"}},
    })
}

#[test]
fn a_class_is_read() {
    let rig = Rig::with_class();
    let class = rig.class().unwrap();
    assert_eq!((class.provider.as_str(), class.generation), ("vault", 1));
    assert!(!class.uid.is_empty() && !class.resource_version.is_empty());
    let requests = rig.server.requests();
    assert_eq!((requests[0].verb, requests[0].path.as_str(), requests[0].code), ("get", CLASS_PATH, 200));
    assert_eq!(requests[0].user_agent, "csi-secrets-store/controller/test (linux/amd64) abc/now");
    assert_eq!(*rig.observed.lock().unwrap(), [("get".to_owned(), "200".to_owned())]);
}

#[test]
fn a_missing_class_reads_as_users_know_it() {
    let rig = Rig::plain();
    let error = rig.class().unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "secretproviderclasses.secrets-store.csi.x-k8s.io \"db\" not found");
    rig.server.uninstall("secretproviderclasses");
    let error = rig.class().unwrap_err().to_string();
    assert!(
        error.contains("install its CustomResourceDefinition") && error.ends_with("\"db\" not found"),
        "{error}"
    );
}

#[test]
fn a_hostile_name_is_refused_before_anything_is_sent() {
    let rig = Rig::with_class();
    for name in ["../../../../../api/v1/namespaces/team/secrets/s", "db?x", "db/status", "DB", ""] {
        let error = rig.client.class("team", name, Budget::lasting(PATIENCE)).unwrap_err();
        assert!(matches!(error, ApiError::InvalidName { .. }) && !error.is_retryable(), "{name}");
    }
    assert!(rig.server.requests().is_empty());
}

#[test]
fn a_pod_status_goes_from_create_through_conflict_to_update() {
    let rig = Rig::plain();
    let budget = Budget::lasting(PATIENCE);
    let mut status = SecretProviderClassPodStatus::named("team", "s");
    status.status.pod_name = "web".into();
    let stored = rig.client.create_pod_status(&status, budget).unwrap();
    assert!(!stored.metadata.uid.is_empty());

    let error = rig.client.create_pod_status(&status, budget).unwrap_err();
    assert!(error.is_already_exists() && !error.is_conflict(), "{error}");

    let mut foreign = rig.server.get(STATUS_PATH).unwrap();
    foreign["metadata"]["annotations"] = json!({"theirs": "kept"});
    foreign["metadata"]["labels"] = json!({"theirs": "kept"});
    foreign["futureField"] = json!([1]);
    rig.server.put(foreign);
    let mut stale = stored;
    stale.status.mounted = true;
    let error = rig.client.update_pod_status(&stale, budget).unwrap_err();
    assert!(error.is_conflict() && !error.is_already_exists() && !error.is_retryable(), "{error}");
    assert!(error.to_string().ends_with("please apply your changes to the latest version and try again"));

    let mut current = rig.client.pod_status("team", "s", budget).unwrap();
    current.status.objects = vec![ObjectVersion { id: "a".into(), version: "1".into() }];
    let written = rig.client.update_pod_status(&current, budget).unwrap();
    let object = rig.server.get(STATUS_PATH).unwrap();
    assert_eq!(object["metadata"]["annotations"]["theirs"], "kept");
    assert_eq!(object["metadata"]["labels"]["theirs"], "kept");
    assert_eq!(object["futureField"], json!([1]));
    assert_eq!(object["status"]["objects"], json!([{"id": "a", "version": "1"}]));
    let again = rig.client.update_pod_status(&written, budget).unwrap();
    assert_eq!(again.metadata.resource_version, written.metadata.resource_version, "nothing differed");

    rig.server.delete(STATUS_PATH);
    assert!(rig.client.update_pod_status(&again, budget).unwrap_err().is_not_found());
}

#[test]
fn the_servers_complaint_about_an_object_is_passed_on() {
    let rig = Rig::plain();
    let mut status = SecretProviderClassPodStatus::named("team", "s");
    status.metadata.labels.insert("l".into(), "x".repeat(64));
    let error = rig.client.create_pod_status(&status, Budget::lasting(PATIENCE)).unwrap_err();
    assert_eq!(error.code(), Some(422));
    assert!(error.to_string().contains("must be no more than 63"), "{error}");
}

#[test]
fn failures_that_pass_are_retried_and_others_are_not() {
    let table: [(&str, u16, bool); 7] = [
        ("too many requests", 429, true),
        ("internal error", 500, true),
        ("unavailable", 503, true),
        ("gateway timeout", 504, true),
        ("forbidden", 403, false),
        ("bad request", 400, false),
        ("gone", 410, false),
    ];
    for (name, code, is_retried) in table {
        let rig = Rig::with_class();
        rig.server.fail_next(1, Matcher::verb("get"), code, None);
        assert_eq!(rig.class().is_ok(), is_retried, "{name}");
        assert_eq!(rig.server.requests().len(), if is_retried { 2 } else { 1 }, "{name}");
    }
}

#[test]
fn missing_permission_is_told_apart() {
    let rig = Rig::with_class();
    rig.server.fail_always(Matcher::any(), 403);
    let error = rig.class().unwrap_err();
    assert!(error.is_forbidden());
    assert!(error.to_string().contains("cannot get resource \"secretproviderclasses\""), "{error}");
}

#[test]
fn the_pause_that_the_server_asks_for_is_kept() {
    let rig = Rig::with_class();
    rig.server.fail_next(1, Matcher::any(), 429, Some(1));
    let started = Instant::now();
    rig.class().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));

    rig.server.fail_next(1, Matcher::any(), 429, Some(3600));
    let started = Instant::now();
    let error = rig.class().unwrap_err();
    assert!(error.is_too_many_requests() && started.elapsed() < PATIENCE / 2);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
}

#[test]
fn retries_end() {
    let rig = Rig::with_class();
    rig.server.fail_always(Matcher::any(), 503);
    assert_eq!(rig.class().unwrap_err().code(), Some(503));
    assert_eq!(rig.codes(), ["503"; 6]);
}

#[test]
fn a_budget_is_never_exceeded() {
    type Fault = fn(&ApiServer);
    let faults: [(&str, Fault); 5] = [
        ("silence", |server| server.hang(Matcher::any())),
        ("an answer without end", |server| server.drip(Matcher::any(), Duration::from_millis(20))),
        ("errors", |server| server.fail_always(Matcher::any(), 503)),
        ("a long pause asked for", |server| server.fail_next(1, Matcher::any(), 429, Some(5))),
        ("nobody there", ApiServer::stop),
    ];
    for (name, fault) in faults {
        let rig = Rig::with_class();
        fault(&rig.server);
        let started = Instant::now();
        let error = rig.client.class("team", "db", Budget::lasting(Duration::from_millis(300))).unwrap_err();
        let took = started.elapsed();
        assert!(error.is_retryable(), "{name}: {error}");
        // The excess is the machine's, not the client's: each fault would last for seconds at least.
        assert!(took < Duration::from_secs(2), "{name}: {took:?}");
    }
}

#[test]
fn a_spent_budget_sends_nothing() {
    let rig = Rig::with_class();
    let error = rig.client.class("team", "db", Budget::lasting(Duration::ZERO)).unwrap_err();
    assert!(matches!(error, ApiError::OutOfTime { .. }));
    assert!(rig.server.requests().is_empty());
}

#[test]
fn one_request_does_not_use_up_the_whole_budget() {
    let rig = Rig::with(Settings::default(), Duration::from_millis(200));
    rig.server.put(class());
    rig.server.hang(Matcher::any());
    std::thread::scope(|scope| {
        let call = scope.spawn(|| rig.class());
        assert!(rig.server.wait(PATIENCE, |server| server.count("get", CLASS_PATH) >= 2), "it asks again");
        rig.server.clear_faults();
        assert!(call.join().unwrap().is_ok());
    });
}

#[test]
fn a_restarting_server_is_bridged() {
    let rig = Rig::with_class();
    rig.class().unwrap();
    rig.server.stop();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| rig.class());
        let end = Instant::now() + PATIENCE;
        while rig.codes().len() < 2 && Instant::now() < end {
            std::thread::yield_now();
        }
        rig.server.resume();
        assert!(call.join().unwrap().is_ok());
    });
    assert!(rig.codes().contains(&"error".to_owned()));
}

#[test]
fn closed_idle_connections_are_replaced() {
    let rig = Rig::with_class();
    for _ in 0..5 {
        rig.class().unwrap();
        rig.server.close_connections();
    }
}

#[test]
fn connections_are_kept_alive() {
    let rig = Rig::with_class();
    for _ in 0..20 {
        rig.class().unwrap();
    }
    assert_eq!(rig.server.open_connections(), 1);
}

#[test]
fn a_lost_answer_to_a_create_never_makes_two_and_is_told_as_already_exists() {
    let rig = Rig::plain();
    rig.server.close_next(1, Matcher::verb("create"), Close::After);
    let status = SecretProviderClassPodStatus::named("team", "s");
    let error = rig.client.create_pod_status(&status, Budget::lasting(PATIENCE)).unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    rig.server.delete(STATUS_PATH);
    rig.server.close_next(1, Matcher::verb("create"), Close::Before);
    rig.client.create_pod_status(&status, Budget::lasting(PATIENCE)).unwrap();
}

#[test]
fn hostile_answers_are_errors_without_their_content() {
    let table: [(&str, u16, Vec<u8>, &str); 6] = [
        ("not json", 200, b"<html>hunter2</html>".to_vec(), "it is not JSON"),
        ("cut short", 200, b"{\"metadata\":".to_vec(), "it ends early"),
        (
            "wrong type",
            200,
            br#"{"spec": {"parameters": {"k": ["hunter2"]}}}"#.to_vec(),
            "spec.parameters[k] is not a string",
        ),
        ("empty", 200, Vec::new(), "it ends early"),
        ("deeply nested", 200, vec![b'['; 100_000], "it ends early"),
        ("a redirect", 302, Vec::new(), "the server redirects elsewhere, which is refused (HTTP 302)"),
    ];
    for (name, code, body, text) in table {
        let rig = Rig::plain();
        rig.server.answer_next(1, Matcher::any(), code, body);
        let error = rig.class().unwrap_err().to_string();
        assert!(error.contains(text), "{name}: {error}");
        assert!(!error.contains("hunter2"), "{name}: {error}");
        assert!(error.starts_with("could not get secretproviderclasses"), "{name}: {error}");
    }
}

#[test]
fn an_object_that_is_held_as_a_whole_is_bounded_and_one_that_is_read_as_it_comes_may_be_of_any_stored_size() {
    let rig = Rig::plain();
    let mut large = class();
    large["metadata"]["annotations"] = json!({"note": "x".repeat(5 * 1024 * 1024)});
    rig.server.answer_next(1, Matcher::any(), 200, large.to_string());
    assert_eq!(rig.class().unwrap().provider, "vault");
    rig.server.answer_next(1, Matcher::any(), 200, large.to_string());
    let error = rig.client.pod_status("team", "s", Budget::lasting(PATIENCE)).unwrap_err().to_string();
    assert!(error.contains("the answer is larger than 4194304 bytes"), "{error}");
}

#[test]
fn tls_with_the_clusters_authority_and_token_works() {
    let rig = Rig::with(Settings { tls: true, token: Some("t0p".into()) }, PATIENCE);
    rig.server.put(class());
    rig.class().unwrap();
    rig.client.ping(Budget::lasting(PATIENCE)).unwrap();
}

#[test]
fn the_largest_token_that_is_read_can_be_sent() {
    for tls in [false, true] {
        let rig = Rig::with(Settings { tls, token: Some("t".repeat(LARGEST_TOKEN_BYTES)) }, PATIENCE);
        rig.server.put(class());
        rig.class().unwrap();
    }
}

#[test]
fn another_authority_is_not_trusted() {
    let rig = Rig::with(Settings { tls: true, token: None }, PATIENCE);
    rig.server.rotate_authority();
    let error = rig.class().unwrap_err();
    assert!(error.to_string().contains("no trusted connection to the API server"), "{error}");
    assert!(!error.is_retryable());
    assert!(rig.server.requests().is_empty());
}

#[test]
fn a_rotated_authority_is_picked_up_when_the_handshake_fails() {
    let rig = Rig::with(Settings { tls: true, token: None }, PATIENCE);
    rig.server.put(class());
    rig.class().unwrap();
    rig.server.rotate_authority();
    rig.server.close_connections();
    rig.files.write("ca.crt", &rig.server.ca_pem());
    rig.class().unwrap();
    rig.files.write("ca.crt", "");
    rig.server.close_connections();
    rig.class().unwrap();
}

#[test]
fn a_renewed_token_is_picked_up_when_the_old_one_is_refused() {
    let rig = Rig::with(Settings { tls: false, token: Some("old".into()) }, PATIENCE);
    rig.server.put(class());
    rig.server.set_token("new");
    let error = rig.class().unwrap_err();
    assert!(error.is_unauthorized() && !error.to_string().contains("old"), "{error}");
    assert_eq!(rig.server.requests().len(), 1, "the same token is not sent twice");
    rig.files.write("token", "new\n");
    rig.class().unwrap();
    assert_eq!(rig.codes(), ["401", "401", "200"]);
}

#[test]
fn a_missing_file_is_an_error_at_start_that_names_it() {
    let server = ApiServer::with(Settings { tls: true, token: None });
    let config = ClusterConfig {
        server: server.url(),
        ca_file: None,
        token_file: None,
        request_timeout: PATIENCE,
        user_agent: "test".into(),
    };
    let start = |config: &ClusterConfig| Client::new(config, Arc::new(|_, _| ())).err().unwrap().to_string();
    assert_eq!(start(&config), "could not trust the API server: no certificate authority file is configured");
    let missing = ClusterConfig { ca_file: Some("/nonexistent/ca.crt".into()), ..config.clone() };
    assert!(
        start(&missing).starts_with("could not read the certificate authority file /nonexistent/ca.crt: ")
    );
    let files = Files::new();
    let ca_file = Some(files.write("ca.crt", &server.ca_pem()));
    let missing = ClusterConfig { ca_file, token_file: Some("/nonexistent/token".into()), ..config };
    assert!(start(&missing).starts_with("could not read the token file /nonexistent/token: "));
}

#[test]
fn no_more_than_sixteen_requests_are_under_way() {
    let rig = Rig::with_class();
    rig.server.hang(Matcher::any());
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..40).map(|_| scope.spawn(|| rig.class().is_ok())).collect();
        let is_full = |server: &ApiServer| server.count("get", CLASS_PATH) == client::MOST_REQUESTS_AT_ONCE;
        assert!(rig.server.wait(PATIENCE, is_full));
        assert_eq!(rig.server.open_connections(), client::MOST_REQUESTS_AT_ONCE);
        rig.server.clear_faults();
        assert!(calls.into_iter().all(|call| call.join().unwrap()));
    });
}
