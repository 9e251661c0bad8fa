//! Kubernetes Secrets that are made of what pods mount.

use std::thread;

use serde_json::json;

use super::Case;
use crate::node::FILES;
use crate::stage::{A_WHILE, Stage};
use crate::workloads::{Workload, class, with_secret};
use e2e::kinds;
use e2e::patience::{throughout, until, within};
use kit::objects;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "a Deployment whose variable comes from a synced Secret starts", play: variables },
    Case {
        sentence: "the Secret is there before the first mount is done, so no container waits for it",
        play: at_once,
    },
    Case {
        sentence: "the Secret has the labels, annotations, type and keys that the class asks for",
        play: shape,
    },
    Case { sentence: "a pod that mounts two classes gets the Secrets of both", play: two_classes },
    Case { sentence: "a file in a directory can be a key of a Secret", play: nested },
    Case { sentence: "a certificate and its key become a Secret of type kubernetes.io/tls", play: tls },
    Case { sentence: "a secret that is rotated reaches the Secret", play: rotation },
    Case { sentence: "a Secret that somebody deleted comes back", play: deleted },
    Case {
        sentence: "a Secret that somebody changed is put right, and keeps labels of others",
        play: changed,
    },
    Case { sentence: "a Secret that is added to the class of a running pod is made", play: added },
    Case {
        sentence: "a Secret of somebody else is left alone, until it is labelled as managed",
        play: of_others,
    },
    Case {
        sentence: "a Secret that the API server refuses is explained in an event on the pod",
        play: refused,
    },
    Case {
        sentence: "a Secret that a quota keeps away comes within seconds of there being room",
        play: over_quota,
    },
    Case { sentence: "a key that is filled from no file is explained in an event on the pod", play: no_file },
    Case { sentence: "no Secret is written while nothing changes", play: quiet },
    Case { sentence: "the driver counts the Secrets that it writes", play: metrics },
];

fn variables(stage: &mut Stage) {
    let namespace = stage.namespace("sync");
    let class = class(&namespace, "e2e-provider-sync", &["foo", "fookey"]);
    stage.admin.apply(&with_secret(class, "foosecret", &[("username", "foo"), ("key", "fookey")]));
    let workload = reading(&namespace, "deployment", "e2e-provider-sync", "foosecret");
    stage.admin.apply(&workload.deployment(2));
    for pod in stage.all_running(&namespace, "deployment-", 2) {
        assert_eq!(pod.variables["SECRET_USERNAME"], "secret");
        assert_eq!(pod.volume("e2e-provider-sync").read("foo"), "secret");
    }
    assert_eq!(stage.secret_value(&namespace, "foosecret", "username").as_deref(), Some("secret"));
    assert!(stage.secret_value(&namespace, "foosecret", "key").is_some_and(|key| key.contains("mock key")));
}

fn at_once(stage: &mut Stage) {
    let namespace = stage.namespace("at-once");
    for number in 0..20 {
        let (name, secret) = (format!("class-{number}"), format!("secret-{number}"));
        stage.admin.apply(&with_secret(class(&namespace, &name, &["foo"]), &secret, &[("username", "foo")]));
        stage.admin.apply(&reading(&namespace, &format!("web-{number}"), &name, &secret).pod());
    }
    let pods = stage.all_running(&namespace, "web-", 20);
    let late: Vec<&String> = pods.iter().flat_map(|pod| &pod.late_secrets).collect();
    assert!(late.is_empty(), "not there when the mount was done: {late:?}");
}

fn shape(stage: &mut Stage) {
    let namespace = stage.namespace("shape");
    let class = class(&namespace, "one", &["foo"]);
    stage.admin.apply(&with_secret(class, "foosecret", &[("username", "foo"), ("again", "foo")]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    let secret = stage.secret(&namespace, "foosecret").expect("the Secret is there");
    let metadata = &secret["metadata"];
    assert_eq!(
        metadata["labels"],
        json!({"environment": "test", "secrets-store.csi.k8s.io/managed": "true"})
    );
    assert_eq!(metadata["annotations"]["team"], "shop");
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["data"], json!({"username": "c2VjcmV0", "again": "c2VjcmV0"}));
}

fn two_classes(stage: &mut Stage) {
    let namespace = stage.namespace("sync-two");
    let mut workload = Workload::named(&namespace, "web");
    for number in 0..2 {
        let (name, secret) = (format!("spc-{number}"), format!("foosecret-{number}"));
        stage.admin.apply(&with_secret(class(&namespace, &name, &["foo"]), &secret, &[("username", "foo")]));
        workload = workload.mounting(&name).reading(&format!("SECRET_{number}"), &secret, "username");
    }
    stage.admin.apply(&workload.pod());
    let pod = stage.running(&namespace, "web");
    for number in 0..2 {
        assert_eq!(pod.variables[&format!("SECRET_{number}")], "secret");
        let owner = format!("SecretProviderClassPodStatus/web-{namespace}-spc-{number}");
        assert_eq!(stage.secret_owners(&namespace, &format!("foosecret-{number}")), [owner]);
    }
}

fn nested(stage: &mut Stage) {
    let namespace = stage.namespace("nested");
    stage.node.set_content("db/password", "deep");
    let class = class(&namespace, "one", &["db/password"]);
    stage.admin.apply(&with_secret(class, "foosecret", &[("password", "db/password")]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    assert_eq!(stage.secret_value(&namespace, "foosecret", "password").as_deref(), Some("deep"));
}

fn tls(stage: &mut Stage) {
    let namespace = stage.namespace("tls");
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).expect("a certificate");
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    stage.node.write_file("bundle.pem", &format!("{key}{certificate}"));
    let keys = [("tls.crt", "bundle.pem"), ("tls.key", "bundle.pem")];
    let class = objects::class(&namespace, "one", FILES, objects::objects(&["bundle.pem"]));
    let mut class = with_secret(class, "certificate", &keys);
    class["spec"]["secretObjects"][0]["type"] = json!("kubernetes.io/tls");
    stage.admin.apply(&class);
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    let value = |key: &str| stage.secret_value(&namespace, "certificate", key).unwrap_or_default();
    assert_eq!(value("tls.crt").replace('\r', "").trim(), certificate.replace('\r', "").trim());
    assert!(value("tls.key").starts_with("-----BEGIN EC PRIVATE KEY-----"), "as upstream writes it");
}

fn rotation(stage: &mut Stage) {
    let namespace = stage.namespace("sync-rotation");
    let class = class(&namespace, "e2e-provider-auto-rotation", &["foo"]);
    stage.admin.apply(&with_secret(class, "rotationsecret", &[("username", "foo")]));
    let workload = Workload::named(&namespace, "web").mounting("e2e-provider-auto-rotation");
    stage.admin.apply(&workload.pod());
    let pod = stage.running(&namespace, "web");
    assert_eq!(stage.secret_value(&namespace, "rotationsecret", "username").as_deref(), Some("secret"));
    stage.node.tell_provider("/rotation?rotated=true");
    stage.all_read(&[pod], "foo", "rotated");
    until("the Secret is rotated", || {
        stage.secret_value(&namespace, "rotationsecret", "username").as_deref() == Some("rotated")
    });
}

fn deleted(stage: &mut Stage) {
    let namespace = one_secret(stage, "deleted");
    let before = stage.secret(&namespace, "foosecret").expect("it is there")["metadata"]["uid"].take();
    stage.admin.delete(&kinds::core(&namespace, "secrets", "foosecret"));
    until("the Secret is there again", || {
        stage.secret(&namespace, "foosecret").is_some_and(|secret| secret["metadata"]["uid"] != before)
    });
    assert_eq!(stage.secret_value(&namespace, "foosecret", "username").as_deref(), Some("secret"));
    assert_eq!(stage.secret_owners(&namespace, "foosecret").len(), 1);
}

fn changed(stage: &mut Stage) {
    let namespace = one_secret(stage, "changed");
    let change = json!({
        "metadata": {"labels": {"environment": "changed", "of": "somebody"}},
        "data": {"username": "aW50cnVkZXI="},
    });
    stage.admin.patch(&kinds::core(&namespace, "secrets", "foosecret"), &change);
    until("the content is right again", || {
        stage.secret_value(&namespace, "foosecret", "username").as_deref() == Some("secret")
    });
    let labels = stage.secret(&namespace, "foosecret").expect("it is there")["metadata"]["labels"].take();
    assert_eq!((&labels["environment"], &labels["of"]), (&json!("test"), &json!("somebody")));
}

fn added(stage: &mut Stage) {
    let namespace = stage.namespace("added");
    let plain = class(&namespace, "one", &["foo"]);
    stage.admin.apply(&plain);
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    assert!(stage.secret(&namespace, "foosecret").is_none(), "nobody has asked for it");
    stage.admin.apply(&with_secret(plain, "foosecret", &[("username", "foo")]));
    until("the Secret is there", || stage.secret(&namespace, "foosecret").is_some());
}

fn of_others(stage: &mut Stage) {
    let namespace = stage.namespace("others");
    stage.admin.apply(&json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": "foosecret"},
        "stringData": {"username": "of somebody else"},
    }));
    stage.admin.apply(&with_secret(class(&namespace, "one", &["foo"]), "foosecret", &[("username", "foo")]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    assert_eq!(pod.volume("one").read("foo"), "secret", "mounting does not depend on it");
    stage.told(&namespace, "web", &["FailedToCreateSecret", "foosecret", "secrets-store.csi.k8s.io/managed"]);
    throughout(A_WHILE / 2, "the Secret is untouched", || {
        stage.secret_value(&namespace, "foosecret", "username").as_deref() == Some("of somebody else")
    });
    let label = json!({"metadata": {"labels": {"secrets-store.csi.k8s.io/managed": "true"}}});
    stage.admin.patch(&kinds::core(&namespace, "secrets", "foosecret"), &label);
    until("the Secret is taken over", || {
        stage.secret_value(&namespace, "foosecret", "username").as_deref() == Some("secret")
    });
}

fn refused(stage: &mut Stage) {
    let namespace = stage.namespace("refused");
    let mut class = with_secret(class(&namespace, "one", &["foo"]), "foosecret", &[("username", "foo")]);
    class["spec"]["secretObjects"][0]["type"] = json!("kubernetes.io/basic-auth");
    class["spec"]["secretObjects"][0]["data"][0]["key"] = json!("neither-user-nor-password");
    stage.admin.apply(&class);
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    stage.told(&namespace, "web", &["FailedToCreateSecret", "foosecret", "username"]);
    class["spec"]["secretObjects"][0]["data"][0]["key"] = json!("username");
    stage.admin.apply(&class);
    until("the Secret is there", || stage.secret(&namespace, "foosecret").is_some());
}

fn over_quota(stage: &mut Stage) {
    let namespace = stage.namespace("over-quota");
    stage.admin.apply(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"namespace": namespace, "name": "few"}, "spec": {"hard": {"count/secrets": "0"}},
    }));
    let quota = kinds::core(&namespace, "resourcequotas", "few");
    // What a controller counts in a cluster.
    let none = json!({"count/secrets": "0"});
    stage.admin.patch(&format!("{quota}/status"), &json!({"status": {"hard": none, "used": none}}));
    stage.admin.apply(&with_secret(class(&namespace, "one", &["foo"]), "foosecret", &[("username", "foo")]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    assert_eq!(pod.volume("one").read("foo"), "secret", "mounting does not depend on it");
    stage.told(
        &namespace,
        "web",
        &["FailedToCreateSecret", "foosecret", "exceeded quota: few", "tried again"],
    );
    assert!(stage.secret(&namespace, "foosecret").is_none());
    stage.admin.delete(&quota);
    // It is asked about again after a second, two and four.
    within(A_WHILE * 2, "the Secret is there", || stage.secret(&namespace, "foosecret").is_some());
}

fn no_file(stage: &mut Stage) {
    let namespace = stage.namespace("no-file");
    stage.admin.apply(&with_secret(class(&namespace, "one", &["foo"]), "foosecret", &[("username", "bar")]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    let failed = format!("failed to get data in spc {namespace}/one for secret foosecret");
    stage.told(&namespace, "web", &["FailedToCreateSecret", &failed, "bar"]);
    assert!(stage.secret(&namespace, "foosecret").is_none());
}

fn quiet(stage: &mut Stage) {
    let namespace = one_secret(stage, "sync-quiet");
    let version = |stage: &Stage| {
        stage.secret(&namespace, "foosecret").expect("it is there")["metadata"]["resourceVersion"].take()
    };
    let (before, asked) = (version(stage), stage.requests().len());
    thread::sleep(A_WHILE);
    assert_eq!(version(stage), before);
    let requests = stage.requests();
    let about_secrets: Vec<String> = requests
        .iter()
        .skip(asked)
        .filter(|request| request.resource == "secrets")
        .map(|request| format!("{} {}/{}", request.verb, request.namespace, request.name))
        .collect();
    assert!(about_secrets.is_empty(), "{about_secrets:?}");
}

fn metrics(stage: &mut Stage) {
    let before = stage.node.metric("sync_k8s_secret_total", "provider=\"e2e-provider\"");
    one_secret(stage, "sync-metrics");
    let counted = || stage.node.metric("sync_k8s_secret_total", "provider=\"e2e-provider\"");
    until("one Secret more is counted", || counted() > before);
    for name in
        ["total_sync_k8s_secret", "k8s_secret_duration_sec_bucket", "sync_k8s_secret_duration_sec_bucket"]
    {
        assert!(stage.node.metrics().contains(name), "{name} is missing");
    }
}

/// A namespace in which a pod mounts a class with one Secret, `foosecret`, which is there.
fn one_secret(stage: &mut Stage, purpose: &str) -> String {
    let namespace = stage.namespace(purpose);
    stage.admin.apply(&with_secret(class(&namespace, "one", &["foo"]), "foosecret", &[("username", "foo")]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    until("the Secret is there", || stage.secret(&namespace, "foosecret").is_some());
    namespace
}

/// A pod that mounts the class and has a variable from its Secret.
pub fn reading(namespace: &str, name: &str, class: &str, secret: &str) -> Workload {
    Workload::named(namespace, name).mounting(class).reading("SECRET_USERNAME", secret, "username")
}
