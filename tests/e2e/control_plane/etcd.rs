//! etcd: where the API server keeps everything.

use std::path::Path;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::ports;
use crate::patience::until;
use crate::web::Web;

/// The running etcd, which forgets everything when it ends.
pub struct Etcd {
    _daemon: Daemon,
    web: Web,
    /// Where it listens.
    pub url: String,
}

impl Etcd {
    /// Starts it with its data in `state`, and waits until it answers.
    pub fn start(program: &Path, state: &Path, logs: &Path) -> Etcd {
        let [client, peer] = ports::free();
        let url = format!("http://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let arguments = [
            format!("--data-dir={}", state.join("etcd").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        let mut daemon = Daemon::start("etcd", program, &arguments, logs);
        let web = Web::plain();
        until("etcd answers", || {
            daemon.expect_running();
            web.send("GET", &format!("{url}/health"), &[], None).is_ok_and(|answer| answer.code == 200)
        });
        Etcd { _daemon: daemon, web, url }
    }

    /// Forgets all of the past: whoever watches from before now has to list anew.
    pub fn compact(&self) {
        // The key matters not; the answer tells the revision.
        let found = self.ask("kv/range", &json!({"key": "AA=="}));
        let revision = found["header"]["revision"].as_str().expect("etcd tells its revision");
        self.ask("kv/compaction", &json!({"revision": revision, "physical": true}));
    }

    fn ask(&self, method: &str, request: &Value) -> Value {
        let url = format!("{}/v3/{method}", self.url);
        let answer = self.web.send("POST", &url, &[], Some(&request.to_string()));
        let answer = answer.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.code, 200, "{url}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("etcd answers in JSON")
    }
}
