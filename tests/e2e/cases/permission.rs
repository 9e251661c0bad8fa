//! What happens when an administrator takes the driver's role away, and gives it back.

use super::Case;
use crate::stage::{A_WHILE, ROLES, Stage};
use crate::workloads::{Workload, class};
use e2e::kinds;
use e2e::patience::throughout;

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "without its role the driver keeps what is mounted, and goes on when it is given back",
    play: taken_and_given,
}];

fn taken_and_given(stage: &mut Stage) {
    let namespace = stage.namespace("role");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "before").mounting("one").pod());
    let before = stage.running(&namespace, "before");
    stage.admin.delete(&kinds::access("clusterrolebindings", "secretproviderclasses-rolebinding"));
    stage.node.set_content("foo", "new");
    stage.admin.apply(&Workload::named(&namespace, "after").mounting("one").pod());
    stage.told(&namespace, "after", &["FailedMount", "failed to get secretproviderclass", "forbidden"]);
    throughout(A_WHILE / 2, "the pod has its secret", || {
        // The new one where the driver knows the class already.
        ["secret", "new"].contains(&before.volume("one").read("foo").as_str())
    });
    stage.apply_shipped(ROLES[0]);
    let after = stage.running(&namespace, "after");
    stage.all_read(&[before, after], "foo", "new");
}
