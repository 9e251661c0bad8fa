//! Secret sync for as many pods as three full nodes have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Case;
use super::crowd::{CLASSES, PODS, create, mounting_times};
use crate::stage::Stage;
use crate::workloads::{class, with_secret};
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "300 pods share 30 Secrets, each of which is written once for each change, and goes with the last pod",
    play: crowd,
}];

fn crowd(stage: &mut Stage) {
    let namespace = stage.namespace("sync-crowd");
    stage.kubelet.republish_every(Duration::from_secs(5));
    for number in 0..CLASSES {
        let class = class(&namespace, &format!("class-{number}"), &["foo"]);
        stage.admin.apply(&with_secret(class, &format!("secret-{number}"), &[("username", "foo")]));
    }
    let asked = stage.requests().len();
    let begun = Instant::now();
    create(stage, &namespace, |workload, number| {
        workload.reading("SECRET", &format!("secret-{}", number % CLASSES), "username")
    });
    let pods = stage.all_running(&namespace, "pod-", PODS);
    stage.remark(format!("all run {:.1} s after the first was created", begun.elapsed().as_secs_f64()));
    let late = pods.iter().filter(|pod| !pod.late_secrets.is_empty()).count();
    stage.remark(format!("{}, and {late} of {PODS} then lacked their Secret", mounting_times(&pods)));
    assert_eq!(late, 0, "pods whose Secret was not there when their volume was");
    until("every Secret has ten owners", || {
        (0..CLASSES).all(|number| {
            stage.secret_owners(&namespace, &format!("secret-{number}")).len() == PODS / CLASSES
        })
    });
    stage.remark(format!("for that: {}", about_secrets(stage, asked)));

    let asked = stage.requests().len();
    let begun = Instant::now();
    stage.node.set_content("foo", "new");
    stage.all_read(&pods, "foo", "new");
    until("every Secret is new", || all_say(stage, &namespace, "new"));
    stage.remark(format!("all are new {:.1} s after the change", begun.elapsed().as_secs_f64()));
    stage.remark(format!("for that: {}", about_secrets(stage, asked)));
    let writes = writes(stage, asked);
    assert!(writes.values().all(|count| *count == 1), "written more than once: {writes:?}");
    assert_eq!(writes.len(), CLASSES, "Secrets that were written");

    stage.admin.delete(&format!("/api/v1/namespaces/{namespace}/pods"));
    until("every Secret is gone", || {
        (0..CLASSES).all(|number| stage.secret(&namespace, &format!("secret-{number}")).is_none())
    });
}

fn all_say(stage: &Stage, namespace: &str, content: &str) -> bool {
    (0..CLASSES).all(|number| {
        let value = stage.secret_value(namespace, &format!("secret-{number}"), "username");
        value.as_deref() == Some(content)
    })
}

/// How often each Secret was written since.
fn writes(stage: &Stage, since: usize) -> BTreeMap<String, usize> {
    let mut writes = BTreeMap::new();
    for request in stage.requests().into_iter().skip(since) {
        if request.resource == "secrets" && ["create", "update", "patch"].contains(&request.verb.as_str()) {
            *writes.entry(request.name).or_default() += 1;
        }
    }
    writes
}

/// What was asked about Secrets since, as in `30 create, 270 patch`.
fn about_secrets(stage: &Stage, since: usize) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in stage.requests().into_iter().skip(since).filter(|request| request.resource == "secrets") {
        *counts.entry(request.verb).or_default() += 1;
    }
    if counts.is_empty() {
        return "no request about Secrets".to_owned();
    }
    let counts: Vec<String> = counts.iter().map(|(verb, count)| format!("{count} {verb}")).collect();
    format!("{} of Secrets", counts.join(", "))
}
