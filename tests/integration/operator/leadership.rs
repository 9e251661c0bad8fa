//! Two operators and one lease.

use serde_json::json;

use super::stage::{DAEMON_SET, LEASE, REQUEST, Stage};
use api_server::{Close, Matcher};

fn holder(stage: &Stage) -> String {
    let lease = stage.api.get(LEASE).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

fn is_repaired(stage: &Stage) {
    stage.api.delete(DAEMON_SET);
    stage.wait("the leader repairs", |api| api.get(DAEMON_SET).is_some());
}

#[test]
fn only_one_leads_and_the_other_takes_over_at_once_when_it_stops() {
    let (stage, one) = Stage::installed();
    assert!(holder(&stage).starts_with("one_"));
    let two = stage.operator_in("two", &["--v=4"]);
    two.wait_for_log("\"another operator leads\"");
    assert!(holder(&stage).starts_with("one_"));
    let log = one.terminate();
    assert!(log.contains("\"the lease is released\""), "{log}");
    stage.wait("the other leads", |_| holder(&stage).starts_with("two_"));
    is_repaired(&stage);
    assert_eq!(stage.api.get(LEASE).unwrap()["spec"]["leaseTransitions"], 1);
}

#[test]
fn the_other_takes_over_from_one_that_crashed_when_its_time_is_over() {
    let (stage, one) = Stage::installed();
    let two = stage.operator_in("two", &["--v=4"]);
    two.wait_for_log("\"another operator leads\"");
    one.kill();
    stage.wait("the other leads", |_| holder(&stage).starts_with("two_"));
    is_repaired(&stage);
}

#[test]
fn the_next_process_of_the_same_pod_need_not_wait() {
    let (stage, one) = Stage::installed();
    let before = holder(&stage);
    one.kill();
    let _again = stage.operator();
    stage.wait("it leads", |_| holder(&stage).starts_with("one_") && holder(&stage) != before);
    is_repaired(&stage);
}

#[test]
fn one_that_slept_while_another_took_over_writes_nothing_and_ends() {
    let (stage, mut one) = Stage::installed();
    one.signal("STOP");
    let _two = stage.operator_in("two", &[]);
    stage.wait("the other leads", |_| holder(&stage).starts_with("two_"));
    // Removed means that whoever writes now is the one that leads.
    stage.edit(REQUEST, |object| object["spec"] = json!({"managementState": "Removed"}));
    stage.wait("it is taken down", |api| api.get(DAEMON_SET).is_none());
    one.signal("CONT");
    assert!(one.wait().success(), "{}", one.log());
    assert!(one.log().contains("ending"), "{}", one.log());
    assert!(holder(&stage).starts_with("two_"));
    assert!(stage.api.get(DAEMON_SET).is_none());
}

#[test]
fn a_leader_that_cannot_renew_ends_before_its_time_is_over() {
    let (stage, mut one) = Stage::installed();
    // Its port stays taken, or the server of another test could get it.
    stage.api.close_next(usize::MAX, Matcher::any(), Close::Before);
    assert!(one.wait().success());
    assert!(one.log().contains("the lease could not be renewed in time"), "{}", one.log());
}
