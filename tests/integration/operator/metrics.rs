//! Metrics over HTTPS: with which certificate, by which version, and for whom.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::stage::Stage;
use api_server::Matcher;
use kit::driver::DriverProcess;
use kit::eventually;

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const TOKEN: &str = "token-of-a-scraper";

/// A cluster whose operator serves metrics, and the files of its certificate.
struct Scene {
    stage: Stage,
    operator: DriverProcess,
    address: String,
    files: TempDir,
}

impl Scene {
    fn new(stage: Stage) -> Scene {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        let flags = [
            "--metrics-listen=127.0.0.1:0".to_owned(),
            format!("--tls-cert-file={}", path("tls.crt")),
            format!("--tls-private-key-file={}", path("tls.key")),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let operator = stage.operator_in("one", &flags);
        operator.wait_for_log("serving metrics over HTTPS");
        let log = operator.log();
        let line = log.lines().find(|line| line.contains("serving metrics over HTTPS")).unwrap();
        let (_, address) = line.split_once("address=").unwrap();
        let address = address.trim_matches('"').split([' ', '"']).next().unwrap().to_owned();
        Scene { stage, operator, address, files }
    }

    /// Has the API server say once who sent the next token.
    fn who(&self, user: Option<&str>) {
        let status = match user {
            Some(user) => json!({"authenticated": true, "user": {"username": user, "groups": ["g"]}}),
            None => json!({"authenticated": false}),
        };
        self.answer(TOKEN_REVIEWS, &status);
    }

    fn may(&self, allowed: bool) {
        self.answer(ACCESS_REVIEWS, &json!({"allowed": allowed}));
    }

    fn answer(&self, path: &str, status: &Value) {
        let review = json!({"status": status}).to_string();
        self.stage.api.answer_next(1, Matcher::verb("create").and_path(path), 201, review);
    }

    fn get(&self, authority: &str, token: Option<&str>) -> Result<Answer, String> {
        self.get_by(&[&TLS13, &TLS12], authority, "/metrics", token)
    }

    fn get_by(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        authority: &str,
        path: &str,
        token: Option<&str>,
    ) -> Result<Answer, String> {
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{token}\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(|error| error.to_string())?;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Answer { code, head: head.to_owned(), body: body.to_owned() })
    }
}

struct Answer {
    code: u16,
    head: String,
    body: String,
}

/// Puts a new pair there, as kubelet does with a Secret, and returns the certificate.
fn certify(directory: &Path) -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("tls.key"), signing_key.serialize_pem()).unwrap();
    std::fs::write(directory.join("tls.crt"), cert.pem()).unwrap();
    cert.pem()
}

#[test]
fn metrics_are_for_those_alone_who_the_api_server_lets_get_them() {
    let scene = Scene::new(Stage::new());
    let authority = certify(scene.files.path());
    let code = |token| scene.get(&authority, token).unwrap().code;
    let answer = scene.get(&authority, None).unwrap();
    assert_eq!(answer.code, 401);
    assert!(answer.head.contains("\r\nWWW-Authenticate: Bearer\r\n"), "{}", answer.head);
    assert_eq!(scene.stage.api.count("create", TOKEN_REVIEWS), 0, "without a token there is nothing to ask");

    scene.who(None);
    assert_eq!(code(Some("made-up")), 401);
    scene.who(Some("somebody"));
    scene.may(false);
    assert_eq!(code(Some("of-somebody")), 403);
    scene.who(Some("scraper"));
    scene.may(true);
    let answer = scene.get(&authority, Some(TOKEN)).unwrap();
    assert_eq!(answer.code, 200);
    assert!(answer.body.contains("secrets_store_csi_operator_leader"), "{}", answer.body);
    // For some seconds that is known.
    assert_eq!((code(Some(TOKEN)), code(Some("made-up"))), (200, 401));
    assert_eq!(scene.stage.api.count("create", TOKEN_REVIEWS), 3);
    // OpenShift's own scraper is let in by his name: its operators' roles cannot ask what he may.
    scene.who(Some("system:serviceaccount:openshift-monitoring:prometheus-k8s"));
    assert_eq!(code(Some("of-the-platform")), 200);
    assert_eq!(scene.stage.api.count("create", ACCESS_REVIEWS), 2);
    assert_eq!(scene.get_by(&[&TLS13], &authority, "/healthz", Some(TOKEN)).unwrap().code, 404);
    let log = scene.operator.log();
    assert!(!log.contains(TOKEN) && !log.contains("of-somebody"), "{log}");
}

#[test]
fn while_the_api_server_does_not_say_who_may_read_nobody_may() {
    let scene = Scene::new(Stage::new());
    let authority = certify(scene.files.path());
    scene.stage.api.fail_always(Matcher::verb("create").and_path(TOKEN_REVIEWS), 403);
    for _ in 0..2 {
        assert_eq!(scene.get(&authority, Some(TOKEN)).unwrap().code, 503);
    }
    eventually("it is logged", || scene.operator.count_log("who may read metrics is not known") > 0);
    assert_eq!(scene.operator.count_log("who may read metrics is not known"), 1);
    assert!(!scene.operator.log().contains(TOKEN));
}

#[test]
fn a_certificate_may_come_late_and_is_replaced_without_a_restart() {
    let scene = Scene::new(Stage::new());
    let stranger = certify(tempfile::tempdir().unwrap().path());
    scene.get(&stranger, None).map(|answer| answer.code).unwrap_err();
    let first = certify(scene.files.path());
    eventually("the certificate is served", || {
        scene.get(&first, None).is_ok_and(|answer| answer.code == 401)
    });
    // A pair that does not match is what one looks like that is being replaced.
    let odd = tempfile::tempdir().unwrap();
    certify(odd.path());
    std::fs::copy(odd.path().join("tls.key"), scene.files.path().join("tls.key")).unwrap();
    eventually("it is not taken", || {
        assert_eq!(scene.get(&first, None).unwrap().code, 401);
        scene.operator.log().contains("do not belong together")
    });
    let second = certify(scene.files.path());
    eventually("the next one is served", || scene.get(&second, None).is_ok_and(|answer| answer.code == 401));
    scene.get(&first, None).map(|answer| answer.code).unwrap_err();
}

#[test]
fn the_clusters_tls_profile_holds_for_metrics_and_is_followed() {
    let stage = Stage::new();
    stage.api.serve_openshift();
    let profile = |stage: &Stage, kind: &str| {
        stage.api.put(json!({
            "apiVersion": "config.openshift.io/v1", "kind": "APIServer", "metadata": {"name": "cluster"},
            "spec": {"tlsSecurityProfile": {"type": kind}},
        }));
    };
    profile(&stage, "Modern");
    let scene = Scene::new(stage);
    let authority = certify(scene.files.path());
    let older = || scene.get_by(&[&TLS12], &authority, "/metrics", None).map(|answer| answer.code);
    assert_eq!(scene.get_by(&[&TLS13], &authority, "/metrics", None).unwrap().code, 401);
    older().unwrap_err();
    scene.stage.ask(&json!({"managementState": "Managed"}));
    scene.stage.wait_installed();
    profile(&scene.stage, "Intermediate");
    eventually("the older version is spoken too", || older() == Ok(401));
    profile(&scene.stage, "Modern");
    eventually("it is not any more", || older().is_err());
}

#[test]
fn connections_that_say_nothing_keep_nobody_from_the_metrics() {
    let scene = Scene::new(Stage::new());
    let authority = certify(scene.files.path());
    scene.who(Some("scraper"));
    scene.may(true);
    let begun = Instant::now();
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&scene.address).unwrap()).collect();
    eventually("whoever asks is answered", || {
        scene.get(&authority, Some(TOKEN)).is_ok_and(|answer| answer.code == 200)
    });
    // Their own time would be over after ten.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(silent);
    let threads = || {
        let tasks = format!("/proc/{}/task", scene.operator.id());
        std::fs::read_dir(tasks).unwrap().count()
    };
    eventually("their threads end", || threads() < 32);
}
