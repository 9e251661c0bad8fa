//! Secrets that change while a pod uses them.

use std::thread;

use super::Case;
use crate::stage::{A_WHILE, Stage};
use crate::workloads::{Workload, class};
use e2e::kinds;
use e2e::patience::{throughout, until};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "a secret that is rotated reaches the running pod and its pod status", play: rotation },
    Case { sentence: "nothing is written to the API server while no secret changes", play: quiet },
    Case {
        sentence: "a pod keeps its secrets while the provider fails, and its owner is told",
        play: failing,
    },
    Case {
        sentence: "a pod keeps its secrets when its class is deleted, and gets new ones when it is back",
        play: no_class,
    },
    Case { sentence: "a driver that is replaced goes on where the one before it stopped", play: replaced },
];

fn rotation(stage: &mut Stage) {
    let namespace = stage.namespace("rotation");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    assert_eq!(pod.volume("one").read("foo"), "secret");
    stage.node.tell_provider("/rotation?rotated=true");
    stage.all_read(&[pod], "foo", "rotated");
    let status = format!("{}/web-{namespace}-one", kinds::pod_statuses(&namespace));
    until("the pod status tells the new version", || {
        stage.admin.get(&status).is_some_and(|status| status["status"]["objects"][0]["version"] == "v2")
    });
}

fn quiet(stage: &mut Stage) {
    let namespace = stage.namespace("quiet");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let begun = stage.running(&namespace, "web").republished;
    let before = stage.requests();
    thread::sleep(A_WHILE);
    let turns = stage.running(&namespace, "web").republished - begun;
    assert!(turns >= 3, "kubelet has called {turns} times only");
    let requests = stage.requests();
    let news: Vec<String> =
        requests.iter().skip(before.len()).map(|request| request.permission().to_string()).collect();
    let writes: Vec<&String> = news
        .iter()
        .filter(|text| !["get", "list", "watch"].iter().any(|verb| text.starts_with(verb)))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    stage.remark(format!("{turns} refreshes, {} requests to the API server, no write", news.len()));
}

fn failing(stage: &mut Stage) {
    let namespace = stage.namespace("failing");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    stage.node.tell_provider("/fail?code=PERMISSION_DENIED&times=1000000");
    stage.told(&namespace, "web", &["SecretsStoreRefreshFailed", "the pod keeps what it has"]);
    assert_eq!(pod.volume("one").read("foo"), "secret");
    let seen = stage.running(&namespace, "web");
    assert_eq!(seen.failures, Vec::<String>::new(), "kubelet is not told of failures that it would punish");
    stage.node.set_content("foo", "new");
    stage.node.tell_provider("/fail?code=UNKNOWN&times=0");
    stage.all_read(&[pod], "foo", "new");
}

fn no_class(stage: &mut Stage) {
    let namespace = stage.namespace("class-gone");
    let class = class(&namespace, "one", &["foo"]);
    stage.admin.apply(&class);
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    stage.admin.delete(&kinds::class(&namespace, "one"));
    stage.node.set_content("foo", "new");
    stage.told(&namespace, "web", &["SecretsStoreRefreshFailed", "not found"]);
    throughout(A_WHILE / 2, "the pod has its secret", || pod.volume("one").read("foo") == "secret");
    stage.admin.apply(&class);
    stage.all_read(&[pod], "foo", "new");
}

fn replaced(stage: &mut Stage) {
    let namespace = stage.namespace("replaced");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    stage.node.stop_driver();
    stage.node.set_content("foo", "while nobody looked");
    assert_eq!(pod.volume("one").read("foo"), "secret");
    stage.node.start_driver();
    stage.all_read(&[pod], "foo", "while nobody looked");
    stage.admin.delete(&kinds::core(&namespace, "pods", "web"));
    stage.gone(&namespace, "web");
}
