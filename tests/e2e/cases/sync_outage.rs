//! Secret sync when the API server is away, or has forgotten what the driver has seen.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Case;
use super::sync::reading;
use super::token::until_refused;
use crate::stage::Stage;
use crate::workloads::{class, with_secret};
use e2e::kinds;
use e2e::patience::{until, within};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "Secrets get what changed while the API server was away", play: away },
    Case { sentence: "Secrets stay right when etcd has forgotten what the driver has seen", play: compacted },
    Case {
        sentence: "Secrets stay right when the driver's token is renewed and the old one revoked",
        play: token,
    },
    Case { sentence: "Secrets get what changed while the driver was away", play: driver_away },
];

fn away(stage: &mut Stage) {
    let namespace = some_secrets(stage, "sync-away");
    stage.control_plane.api_server.stop();
    stage.node.set_content("foo", "new");
    let pods = stage.kubelet.pods(&namespace, "web-");
    stage.all_read(&pods, "foo", "new");
    stage.control_plane.api_server.start_again();
    // The driver's watches are not back yet.
    let class = with_secret(class(&namespace, "late", &["foo"]), "late-secret", &[("username", "foo")]);
    stage.admin.apply(&class);
    stage.admin.apply(&reading(&namespace, "late", "late", "late-secret").pod());
    let begun = Instant::now();
    within(PATIENCE_WITH_REFUSALS, "the Secret of a pod that was made right then is there", || {
        stage.secret_value(&namespace, "late-secret", "username").as_deref() == Some("new")
    });
    stage.running(&namespace, "late");
    all_say(stage, &namespace, "new");
    stage.remark(format!(
        "all is right {:.1} s after the API server was ready",
        begun.elapsed().as_secs_f64()
    ));
}

fn compacted(stage: &mut Stage) {
    let namespace = some_secrets(stage, "compacted");
    let seen =
        stage.secret(&namespace, "secret-0").expect("it is there")["metadata"]["resourceVersion"].take();
    // Changes of others, so that the revisions that the driver knows are of the past.
    for number in 0..100 {
        let data = json!({"number": number.to_string()});
        stage
            .admin
            .patch(&format!("/api/v1/namespaces/{namespace}"), &json!({"metadata": {"annotations": data}}));
    }
    stage.control_plane.api_server.stop();
    stage.control_plane.etcd.compact();
    stage.control_plane.api_server.start_again();
    let seen = seen.as_str().expect("a version is a text");
    assert!(is_forgotten(stage, seen), "a watch from version {seen} should be told 410");

    // Known only to who lists or watches anew.
    stage.admin.delete(&kinds::core(&namespace, "secrets", "secret-0"));
    let class = with_secret(class(&namespace, "class-1", &["foo"]), "secret-1", &[("username", "foo")]);
    stage.admin.apply(&with_secret(class, "further", &[("username", "foo")]));
    stage.node.set_content("foo", "new");
    let begun = Instant::now();
    for (what, secret) in [("deleted", "secret-0"), ("added to a class", "further")] {
        within(PATIENCE_WITH_REFUSALS, &format!("the Secret that was {what} is there"), || {
            stage.secret(&namespace, secret).is_some()
        });
    }
    all_say(stage, &namespace, "new");
    stage.remark(format!(
        "all is right {:.1} s after the API server was ready",
        begun.elapsed().as_secs_f64()
    ));
}

/// True when the API server does not know any more what happened after that version.
fn is_forgotten(stage: &Stage, version: &str) -> bool {
    let watch = format!("/api/v1/secrets?watch=1&timeoutSeconds=1&resourceVersion={version}");
    match stage.admin.ask("GET", &watch, None) {
        // One event, which is an error.
        Ok(event) => event["object"]["code"] == 410,
        Err(refusal) => refusal.code == 410,
    }
}

fn token(stage: &mut Stage) {
    let namespace = some_secrets(stage, "sync-token");
    let old = stage.token.renew(&stage.admin).expect("there was a token before");
    old.revoke(&stage.admin);
    until_refused(stage, &old.token);
    stage.admin.delete(&kinds::core(&namespace, "secrets", "secret-0"));
    until("the deleted Secret is there again", || stage.secret(&namespace, "secret-0").is_some());
    stage.node.set_content("foo", "new");
    all_say(stage, &namespace, "new");
}

fn driver_away(stage: &mut Stage) {
    let namespace = some_secrets(stage, "sync-driver");
    stage.node.stop_driver();
    stage.admin.delete(&kinds::core(&namespace, "secrets", "secret-0"));
    let class = with_secret(class(&namespace, "class-1", &["foo"]), "secret-1", &[("username", "foo")]);
    stage.admin.apply(&with_secret(class, "further", &[("username", "foo")]));
    stage.node.set_content("foo", "new");
    stage.node.start_driver();
    all_say(stage, &namespace, "new");
    until("the Secret that was added to a class is there", || stage.secret(&namespace, "further").is_some());
}

/// A namespace with a few pods, each with a class and a Secret of its own that hold `secret`.
fn some_secrets(stage: &mut Stage, purpose: &str) -> String {
    let namespace = stage.namespace(purpose);
    for number in 0..SECRETS {
        let (name, secret) = (format!("class-{number}"), format!("secret-{number}"));
        stage.admin.apply(&with_secret(class(&namespace, &name, &["foo"]), &secret, &[("username", "foo")]));
        stage.admin.apply(&reading(&namespace, &format!("web-{number}"), &name, &secret).pod());
    }
    stage.all_running(&namespace, "web-", SECRETS);
    all_say(stage, &namespace, "secret");
    namespace
}

fn all_say(stage: &Stage, namespace: &str, content: &str) {
    within(PATIENCE_WITH_REFUSALS, &format!("every Secret says {content:?}"), || {
        (0..SECRETS).all(|number| {
            let value = stage.secret_value(namespace, &format!("secret-{number}"), "username");
            value.as_deref() == Some(content)
        })
    });
}

const SECRETS: usize = 5;
/// An API server that starts may refuse what it will permit in a moment, and the driver asks again after a minute.
const PATIENCE_WITH_REFUSALS: Duration = Duration::from_secs(100);
