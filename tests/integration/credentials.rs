//! How the driver proves the API server and itself: TLS under the cluster's authority, and a token that changes.

use std::fs;

use serde_json::json;

use api_server::{ApiServer, Settings};
use kit::driver::{DriverProcess, program};
use kit::eventually;
use kit::provider::{ScriptedProvider, answer};
use kit::world::{Pod, World};

/// A world whose API server speaks TLS and takes one token.
struct Guarded {
    world: World,
    _provider: ScriptedProvider,
    pod: Pod,
    files: tempfile::TempDir,
}

impl Guarded {
    /// Nothing is started; authority and token file are what the API server wants.
    fn new(flags: &[&str]) -> Guarded {
        let files = tempfile::tempdir().unwrap();
        let api = ApiServer::with(Settings { tls: true, token: Some(FIRST.to_owned()) });
        let path = |name: &str| files.path().join(name).display().to_string();
        fs::write(path("ca.crt"), api.ca_pem()).unwrap();
        fs::write(path("token"), FIRST).unwrap();
        let own =
            [format!("--kube-ca-file={}", path("ca.crt")), format!("--kube-token-file={}", path("token"))];
        let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let mut world = World::without_driver(&flags);
        world.api = api.into();
        let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
            Ok(answer("v1", &[("password", 0, b"hunter2")]))
        });
        world.class("db", "test", json!({"objects": "some"}));
        let pod = world.pod("web", "db");
        Guarded { world, _provider: provider, pod, files }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.files.path().join(name), content).unwrap();
    }

    /// Publishes in vain and returns what kubelet is told.
    fn failing_publish(&self) -> String {
        self.world.kubelet.publish(&self.pod).unwrap_err().message
    }

    /// Starts the driver, which is expected to give up, and returns its log.
    fn failing_start(&self) -> String {
        let mut driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &self.world.arguments());
        assert_eq!(driver.wait().code(), Some(1), "log:\n{}", driver.log());
        driver.log()
    }
}

#[test]
fn a_volume_is_published_over_tls_under_the_clusters_authority_and_with_its_token() {
    let mut guarded = Guarded::new(&["-v=10"]);
    assert!(guarded.world.api.url().starts_with("https://"));
    guarded.world.start_driver();
    guarded.world.kubelet.publish(&guarded.pod).unwrap();
    assert_eq!(guarded.pod.read("password"), "hunter2");
    eventually("the driver is ready", || guarded.world.http_get("/readyz").0 == 200);
    let log = guarded.world.take_driver().terminate();
    assert!(!log.contains(FIRST), "the token is in the log:\n{log}");
}

#[test]
fn a_token_that_kubelet_replaced_is_used_without_a_restart() {
    let mut guarded = Guarded::new(&["-v=10"]);
    guarded.world.start_driver();
    guarded.world.kubelet.publish(&guarded.pod).unwrap();
    guarded.world.kubelet.unpublish(&guarded.pod).unwrap();

    guarded.world.api.set_token(SECOND);
    let told = guarded.failing_publish();
    assert!(told.contains("Unauthorized"), "{told}");
    assert!(!told.contains(FIRST), "{told}");

    guarded.write("token", SECOND);
    guarded.world.kubelet.publish(&guarded.pod).unwrap();
    let log = guarded.world.take_driver().terminate();
    assert!(!log.contains(FIRST) && !log.contains(SECOND), "a token is in the log:\n{log}");
}

#[test]
fn a_server_under_another_authority_gets_no_request_and_the_failure_says_why() {
    let mut guarded = Guarded::new(&[]);
    let other = ApiServer::with(Settings { tls: true, token: None });
    guarded.write("ca.crt", &other.ca_pem());
    guarded.world.start_driver();
    let told = guarded.failing_publish();
    assert!(told.contains("certificate"), "{told}");
    assert!(told.contains("failed to get secretproviderclass default/db"), "{told}");
    assert!(guarded.world.api.requests().is_empty(), "{:?}", guarded.world.api.requests());
    guarded.world.driver().wait_for_log("the API server does not answer");
    let (code, body) = guarded.world.http_get("/readyz");
    assert_eq!((code, body.as_str()), (503, "waiting for the API server\n"));
}

/// What is wrong, how it comes about, and the file that is named.
type Spoilt = (&'static str, fn(&Guarded), &'static str);

#[test]
fn files_that_are_missing_or_empty_stop_the_start_by_name() {
    let rows: [Spoilt; 4] = [
        ("no authority", |guarded| fs::remove_file(guarded.files.path().join("ca.crt")).unwrap(), "ca.crt"),
        ("an empty authority", |guarded| guarded.write("ca.crt", ""), "ca.crt"),
        ("no token", |guarded| fs::remove_file(guarded.files.path().join("token")).unwrap(), "token"),
        ("an empty token", |guarded| guarded.write("token", "\n"), "token"),
    ];
    for (name, spoil, file) in rows {
        let guarded = Guarded::new(&[]);
        spoil(&guarded);
        let log = guarded.failing_start();
        let path = guarded.files.path().join(file).display().to_string();
        assert!(log.contains("unrecoverable error encountered") && log.contains(&path), "{name}: {log}");
    }
}

#[test]
fn tls_without_an_authority_is_refused_whatever_the_machine_trusts() {
    let guarded = Guarded::new(&["--kube-ca-file="]);
    let log = guarded.failing_start();
    assert!(log.contains("--kube-ca-file"), "{log}");
}

const FIRST: &str = "first-token-of-the-driver";
const SECOND: &str = "second-token-of-the-driver";
