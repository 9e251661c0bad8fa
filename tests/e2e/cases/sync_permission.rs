//! What happens without the role for Secret sync: what does not need it goes on.

use std::time::Duration;

use super::Case;
use super::sync::reading;
use crate::stage::{A_WHILE, ROLES, Stage};
use crate::workloads::{Workload, class, with_secret};
use e2e::kinds;
use e2e::patience::{until, within};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "without its role Secret sync is off, mounting and rotating go on, and it starts when the role is given",
        play: taken_and_given,
    },
    Case {
        sentence: "a Secret gets what changed while the driver was without its other role",
        play: other_role,
    },
];

fn taken_and_given(stage: &mut Stage) {
    let namespace = stage.namespace("sync-role");
    for name in ["before", "after"] {
        let class = class(&namespace, name, &["foo"]);
        stage.admin.apply(&with_secret(class, &format!("{name}-secret"), &[("username", "foo")]));
    }
    stage.admin.apply(&reading(&namespace, "before", "before", "before-secret").pod());
    let before = stage.running(&namespace, "before");
    stage.admin.delete(&kinds::access("clusterrolebindings", "secretprovidersyncing-rolebinding"));

    // What is new is mounted, what is mounted is refreshed.
    stage.admin.apply(&Workload::named(&namespace, "after").mounting("after").pod());
    let after = stage.running(&namespace, "after");
    stage.node.set_content("foo", "new");
    stage.all_read(&[before, after], "foo", "new");
    stage.told(&namespace, "after", &["FailedToCreateSecret", "secretprovidersyncing-role"]);
    until("a metric tells", || stage.node.metric("secrets_store_csi_sync_errors_total", "Forbidden") > 0.0);
    let warnings = || stage.node.driver_log().lines().filter(|line| is_warning(line)).count();
    assert!(stage.secret(&namespace, "after-secret").is_none());

    let (asked, warned) = (stage.requests().len(), warnings());
    std::thread::sleep(A_WHILE * 2);
    let requests = stage.requests();
    let vain = requests.iter().skip(asked).filter(|request| request.resource == "secrets").count();
    assert!(vain <= MOST_IN_VAIN, "{vain} requests in vain within {} s", A_WHILE.as_secs() * 2);
    assert_eq!(warnings(), warned, "the log says it once");
    stage
        .remark(format!("{vain} requests about Secrets within {} s without the role", A_WHILE.as_secs() * 2));

    stage.apply_shipped(ROLES[1]);
    within(ASKED_AGAIN_AFTER, "sync starts by itself", || {
        ["before-secret", "after-secret"]
            .iter()
            .all(|secret| stage.secret_value(&namespace, secret, "username").as_deref() == Some("new"))
    });
}

/// The volume gets the new content before the pod status is refused.
fn other_role(stage: &mut Stage) {
    let namespace = stage.namespace("other-role");
    stage.admin.apply(&with_secret(class(&namespace, "one", &["foo"]), "foosecret", &[("username", "foo")]));
    stage.admin.apply(&reading(&namespace, "web", "one", "foosecret").pod());
    let pod = stage.running(&namespace, "web");
    stage.admin.delete(&kinds::access("clusterrolebindings", "secretproviderclasses-rolebinding"));
    stage.node.set_content("foo", "new");
    stage.all_read(&[pod], "foo", "new");
    stage.apply_shipped(ROLES[0]);
    until("the Secret is new", || {
        stage.secret_value(&namespace, "foosecret", "username").as_deref() == Some("new")
    });
}

fn is_warning(line: &str) -> bool {
    line.starts_with('W') && line.contains("secretprovidersyncing-role")
}

/// A list, and a write, each of which is asked once a minute.
const MOST_IN_VAIN: usize = 2;
/// The driver asks once a minute whether it may by now, and what it then finds takes a moment.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(100);
