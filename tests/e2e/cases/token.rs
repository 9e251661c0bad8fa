//! The driver's own token, which kubelet renews in a file, and which the cluster can revoke.

use super::Case;
use crate::stage::{A_WHILE, Stage};
use crate::workloads::{Workload, class};
use e2e::patience::{throughout, until};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "nobody notices that the driver's token is renewed and the old one revoked",
        play: renewed,
    },
    Case {
        sentence: "pods keep their secrets while the driver's token is refused, and go on with a new one",
        play: revoked,
    },
];

fn renewed(stage: &mut Stage) {
    let namespace = stage.namespace("token");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "before").mounting("one").pod());
    let before = stage.running(&namespace, "before");
    let old = stage.token.renew(&stage.admin).expect("there was a token before");
    old.revoke(&stage.admin);
    until_refused(stage, &old.token);
    let errors = stage.node.metric("node_publish_error_total", "");
    stage.admin.apply(&Workload::named(&namespace, "after").mounting("one").pod());
    let after = stage.running(&namespace, "after");
    stage.node.set_content("foo", "new");
    stage.all_read(&[before, after], "foo", "new");
    assert!(stage.node.metric("node_publish_error_total", "") <= errors, "some publish has failed");
}

fn revoked(stage: &mut Stage) {
    let namespace = stage.namespace("revoked");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "before").mounting("one").pod());
    let before = stage.running(&namespace, "before");
    // What is in the file is revoked before kubelet has put the next one there.
    let current = stage.token.current().expect("the file holds a token");
    current.revoke(&stage.admin);
    until_refused(stage, &current.token);
    stage.node.set_content("foo", "new");
    stage.admin.apply(&Workload::named(&namespace, "after").mounting("one").pod());
    stage.told(&namespace, "after", &["FailedMount", "401"]);
    throughout(A_WHILE / 2, "the pod has its secret", || {
        // The new one where the driver knows the class already.
        ["secret", "new"].contains(&before.volume("one").read("foo").as_str())
    });
    stage.token.renew(&stage.admin);
    let after = stage.running(&namespace, "after");
    stage.all_read(&[before, after], "foo", "new");
}

/// The API server remembers for some seconds that a token was good.
pub fn until_refused(stage: &Stage, token: &str) {
    until("the API server refuses the old token", || !stage.admin.accepts(token));
}
