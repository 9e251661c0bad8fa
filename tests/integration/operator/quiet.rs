//! What an operator costs that has nothing to do.

use std::time::Duration;

use serde_json::json;

use super::stage::{DAEMON_SET, Stage};

/// The most that it may hold. What ships is the static build, which holds less than this one with its C library.
const MOST_RESIDENT_KIB: u64 = 14 * 1024;

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn nothing_is_written_but_the_lease_when_nothing_changes() {
    let (stage, operator) = Stage::installed();
    stage.roll_out(3);
    stage.wait("the roll-out is noted", |_| stage.condition(super::stage::PROGRESSING) == "False AsExpected");
    // A request is recorded after its answer.
    stage.wait("the last writes are recorded", |_| {
        let writes = stage.writes();
        let [.., noted, reported] = writes.as_slice() else { return false };
        noted.contains("update ") && noted.contains(DAEMON_SET) && reported.contains("/status 200")
    });
    for how in ["one", "two", "three"] {
        stage.api.forget_requests();
        stage.look(&operator, how);
        // And has had the time to write.
        stage.api.wait(Duration::from_millis(500), |_| false);
        assert_eq!(stage.writes(), [""; 0], "{how}: {}", operator.log());
    }
    assert!(stage.api.count("update", "/leases/") > 0);
    assert!(resident_kib(operator.id()) <= MOST_RESIDENT_KIB, "{} KiB", resident_kib(operator.id()));
}

#[test]
fn nothing_is_written_in_any_other_state_either() {
    let (stage, operator) = Stage::installed();
    for state in ["Removed", "Unmanaged", "Force"] {
        stage.ask(&json!({"managementState": state}));
        let told = if state == "Force" { "True Unknown" } else { "False -" };
        stage.wait("it is reported", |_| stage.condition(super::stage::MANAGEMENT) == told);
        // What belongs to the change itself has the time to end.
        stage.api.wait(Duration::from_millis(500), |_| false);
        stage.api.forget_requests();
        stage.look(&operator, state);
        stage.api.wait(Duration::from_millis(500), |_| false);
        assert_eq!(stage.writes(), [""; 0], "{state}: {}", operator.log());
    }
}

#[test]
fn an_operator_that_follows_a_roll_out_stays_small() {
    let (stage, operator) = Stage::installed();
    for nodes in 1..40 {
        stage.roll_out(nodes);
        stage.ask(&json!({"managementState": "Managed", "logLevel": if nodes % 2 == 0 { "Debug" } else { "Trace" }}));
        let verbosity = if nodes % 2 == 0 { "--v=4" } else { "--v=6" };
        stage.wait("it is rolled out", |_| stage.arguments().contains(&verbosity.to_owned()));
    }
    assert!(resident_kib(operator.id()) <= MOST_RESIDENT_KIB, "{} KiB", resident_kib(operator.id()));
}
