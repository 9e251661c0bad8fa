//! A node on which everything is well, for tests that make one thing go wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use api_server::{ApiServer, Settings};
use kit::driver::program;
use kit::provider::{ScriptedProvider, answer};
use kit::registrar::Registrar;
use kit::world::{Pod, World};
use kit::{eventually, shell, umask_lock};

/// The node. What serves into its directories ends first.
pub struct Clinic {
    pub registrar: Option<Registrar>,
    pub provider: ScriptedProvider,
    pub world: World,
    pub pod: Pod,
    files: tempfile::TempDir,
}

/// What the doctor said.
pub struct Report {
    pub code: Option<i32>,
    pub json: Value,
    pub took: Duration,
}

impl Clinic {
    /// Everything is well.
    pub fn open() -> Clinic {
        Clinic::with(|_| {})
    }

    /// Everything is well but what a change of the world brings, which is made before the driver starts.
    pub fn with(change: impl FnOnce(&mut World)) -> Clinic {
        let files = tempfile::tempdir().unwrap();
        let file = |name: &str| files.path().join(name).display().to_string();
        let token = token_lasting(3600);
        let api = ApiServer::with(Settings { tls: true, token: Some(token.clone()) });
        fs::write(file("ca.crt"), api.ca_pem()).unwrap();
        fs::write(file("token"), token).unwrap();
        let flags = [
            format!("--kube-ca-file={}", file("ca.crt")),
            format!("--kube-token-file={}", file("token")),
            "--enable-secret-rotation=true".to_owned(),
            "--rotation-poll-interval=-1m".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut world = World::without_driver(&flags);
        world.api = api.into();
        // As kubelet's directory is in the driver's container.
        shell::bind(&world.path("pods"), &world.path("pods"));
        shell::share(&world.path("pods"));
        fs::create_dir(world.path("registry")).unwrap();
        change(&mut world);
        let provider =
            world.provider("test", |_| Ok(answer("v1", &[("password", 0, PLANTED_CONTENT.as_bytes())])));
        world.start_driver();
        let pod = world.pod("web", "db");
        let mut clinic = Clinic { registrar: None, provider, world, pod, files };
        clinic.registrar = Some(clinic.registrar_of(DRIVER));
        clinic.mend();
        eventually("the driver is ready", || clinic.world.http_get("/readyz").0 == 200);
        clinic
    }

    /// Puts the API server and what it holds right, whatever a test did to them.
    pub fn mend(&self) {
        self.world.api.clear_faults();
        self.world.class("db", "test", json!({"objects": PLANTED_PARAMETER}));
        self.world.api.put(csi_driver());
        self.world.api.put(pod_object(json!({
            "driver": DRIVER, "readOnly": true, "volumeAttributes": {"secretProviderClass": "db"},
        })));
    }

    /// A registrar that tells kubelet of a driver of this name, at the place of ours.
    pub fn registrar_of(&self, name: &str) -> Registrar {
        let (registry, endpoint) = (self.world.path("registry"), self.world.path("csi/csi.sock"));
        Registrar::start(&self.world.environment, &registry, REGISTRATION_SOCKET, name, &endpoint)
    }

    /// A file of this test alone.
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The doctor's flags that lead it to this node's driver, whose own it then takes from the process.
    pub fn flags(&self) -> Vec<String> {
        vec![
            format!("--pid={}", self.world.driver().id()),
            format!("--metrics-addr={}", self.world.metrics_address()),
            format!("--kubelet-registration-dir={}", self.world.path("registry").display()),
        ]
    }

    /// Runs the doctor with further flags.
    pub fn examine(&self, flags: &[&str]) -> Report {
        let own = self.flags();
        let flags: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        examine(&flags)
    }

    /// Runs the doctor and expects it to find that one thing wrong and no other.
    #[track_caller]
    pub fn finds(&self, check: &str, flags: &[&str], what: &str, remedy: &str) {
        let report = self.examine(flags);
        assert_eq!(report.checks("wrong"), [check], "{:#}", report.json);
        report.says(check, "wrong", what, remedy);
        assert_eq!(report.code, Some(1));
    }

    /// Runs the doctor and expects that warning, and nothing wrong.
    #[track_caller]
    pub fn warns(&self, check: &str, flags: &[&str], what: &str, remedy: &str) {
        let report = self.examine(flags);
        assert_eq!(report.checks("wrong"), Vec::<&str>::new(), "{:#}", report.json);
        report.says(check, "warning", what, remedy);
        assert_eq!(report.code, Some(0));
    }
}

impl Report {
    /// The names of the checks with that verdict, each once.
    pub fn checks(&self, verdict: &str) -> Vec<&str> {
        let findings = self.json["findings"].as_array().expect("there is a list");
        let with = findings.iter().filter(|finding| finding["verdict"] == verdict);
        let mut names: Vec<&str> = with.filter_map(|finding| finding["check"].as_str()).collect();
        names.dedup();
        names
    }

    /// Expects a finding with that text and that remedy.
    #[track_caller]
    pub fn says(&self, check: &str, verdict: &str, what: &str, remedy: &str) {
        let findings = self.json["findings"].as_array().expect("there is a list");
        let has = |value: &Value, text: &str| value.as_str().unwrap_or_default().contains(text);
        let is_it = |finding: &&Value| {
            finding["check"] == check
                && finding["verdict"] == verdict
                && has(&finding["what"], what)
                && has(&finding["remedy"], remedy)
        };
        assert!(
            findings.iter().any(|finding| is_it(&finding)),
            "{check} {verdict} {what} {remedy}: {:#}",
            self.json
        );
    }
}

/// Runs the doctor with these flags alone and takes its report apart.
pub fn examine(flags: &[&str]) -> Report {
    let begun = Instant::now();
    let output = run(&[&["--output=json"], flags].concat());
    let took = begun.elapsed();
    let text = String::from_utf8(output.stdout).expect("a report is text");
    let json = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text:?}, {}", String::from_utf8_lossy(&output.stderr)));
    Report { code: output.status.code(), json, took }
}

/// Runs the doctor. Whatever it says, nothing of it is a secret.
pub fn run(flags: &[&str]) -> Output {
    let umask = umask_lock();
    let doctor = Command::new(program("secrets-store-csi-driver"))
        .arg("doctor")
        .args(flags)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the doctor can be started");
    drop(umask);
    let output = doctor.wait_with_output().expect("it ends");
    for said in [&output.stdout, &output.stderr] {
        let said = String::from_utf8_lossy(said);
        for secret in [PLANTED_CONTENT, PLANTED_PARAMETER, PLANTED_SIGNATURE] {
            assert!(!said.contains(secret), "{secret} is in {said}");
        }
    }
    output
}

/// A token as kubelet has them, which expires after some seconds, or did before.
pub fn token_lasting(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs();
    let claims = json!({"aud": ["api"], "exp": now.saturating_add_signed(seconds), "sub": "driver"});
    format!("e30.{}.{PLANTED_SIGNATURE}", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// The CSIDriver object as deploy/ has it.
pub fn csi_driver() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": DRIVER},
        "spec": {
            "podInfoOnMount": true, "attachRequired": false, "volumeLifecycleModes": ["Ephemeral"],
            "requiresRepublish": true,
        },
    })
}

/// The pod `default/web` with this volume.
pub fn pod_object(csi: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "default", "name": "web", "uid": "uid-web"},
        "spec": {"nodeName": "node-1", "volumes": [{"name": "secrets", "csi": csi}]},
    })
}

/// Where a CSIDriver object is.
pub fn csi_driver_path() -> String {
    format!("/apis/storage.k8s.io/v1/csidrivers/{DRIVER}")
}

/// True when nothing changed below a directory but what time does.
pub fn listing(directory: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        found.push((entry.path(), metadata.modified().unwrap()));
        if metadata.is_dir() {
            found.extend(listing(&entry.path()));
        }
    }
    found.sort();
    found
}

pub const DRIVER: &str = "secrets-store.csi.k8s.io";
pub const REGISTRATION_SOCKET: &str = "secrets-store.csi.k8s.io-reg.sock";
pub const PLANTED_CONTENT: &str = "hunter2-content";
pub const PLANTED_PARAMETER: &str = "hunter2-parameter";
pub const PLANTED_SIGNATURE: &str = "hunter2-signature";
/// The doctor's own bound, and what a busy machine takes to start it.
pub const LONGEST: Duration = Duration::from_secs(20);
