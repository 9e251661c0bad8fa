//! What a roll-out costs the API server: the operator looks at what its watches tell, and reports what matters.

use std::time::{Duration, Instant};

use serde_json::json;

use super::stage::{AVAILABLE, DAEMON_SET, PROGRESSING, REQUEST, STATICS, Stage};
use api_server::Matcher;

/// What OpenShift's operator asks for in such a roll-out, and what it writes.
const MOST_REQUESTS: usize = 132;
const MOST_WRITES: usize = 8;
const NODES: i64 = 100;

#[test]
fn a_roll_out_on_a_hundred_nodes_costs_no_more_than_with_openshifts_operator() {
    let (stage, operator) = Stage::installed();
    stage.roll_out(NODES);
    stage.wait("the first one is over", |_| stage.condition(PROGRESSING) == "False AsExpected");
    stage.api.wait(Duration::from_millis(1500), |_| false);
    stage.api.forget_requests();
    stage.ask(&json!({"managementState": "Managed", "logLevel": "Trace"}));
    stage.wait("it begins", |_| stage.arguments().contains(&"--v=6".to_owned()));
    for updated in 0..=NODES {
        stage.roll_out_to(updated, NODES);
        // One pod after the other, as the controller replaces them.
        stage.api.wait(Duration::from_millis(50), |_| false);
    }
    stage.wait("it is over", |_| stage.condition(PROGRESSING) == "False AsExpected");
    stage.api.wait(Duration::from_millis(1500), |_| false);
    let requests: Vec<String> =
        stage.api.requests().iter().map(|r| format!("{} {}", r.verb, r.path)).collect();
    assert!(requests.len() <= MOST_REQUESTS, "{}: {requests:#?}", requests.len());
    let writes = stage.writes();
    assert!((3..=MOST_WRITES).contains(&writes.len()), "{writes:#?}");
    let reads =
        requests.iter().filter(|request| request.starts_with("get ") && !request.contains("/leases/"));
    assert_eq!(reads.collect::<Vec<_>>(), [""; 0], "what is watched is not asked for");
    let turns = operator.count_log("the loop has turned");
    assert!(turns > 10, "it has followed the roll-out in {turns} turns");
}

#[test]
fn a_report_of_its_own_does_not_wake_the_operator() {
    let (stage, operator) = Stage::installed();
    stage.roll_out(3);
    stage.wait("it is over", |_| stage.condition(PROGRESSING) == "False AsExpected");
    let turns = || operator.count_log("the loop has turned");
    // Whatever is under way ends.
    stage.api.wait(Duration::from_millis(1500), |_| false);
    let before = turns();
    stage.api.forget_requests();
    for change in 0..CHANGES {
        let (available, told) = if change % 2 == 0 { (0, "False Deploying") } else { (3, "True AsExpected") };
        stage.edit(DAEMON_SET, |object| object["status"]["numberAvailable"] = json!(available));
        stage.wait("it is reported", |_| stage.condition(AVAILABLE) == told);
        // The next one may be written at once.
        stage.api.wait(Duration::from_millis(1200), |_| false);
    }
    assert_eq!(stage.writes().iter().filter(|write| write.contains("/status 200")).count(), CHANGES);
    // One for each, and another one here and there, where the watch was faster than the answer.
    let turns = turns() - before;
    assert!(turns < CHANGES * 3 / 2, "{turns} turns");
}

#[test]
fn an_error_that_is_worded_anew_each_time_is_reported_ever_more_seldom() {
    let (stage, _operator) = Stage::installed();
    stage.api.wait(Duration::from_millis(1500), |_| false);
    // Figures would not count as words.
    for number in 0..100 {
        let word = char::from(b'a' + number % 26).to_string().repeat(usize::from(number / 26) + 1);
        let body = json!({"kind": "Status", "reason": "Forbidden", "message": format!("denied: {word}")});
        stage.api.answer_next(1, Matcher::verb("update").and_path("/csidrivers/"), 403, body.to_string());
    }
    stage.api.forget_requests();
    let mut attempts = 0;
    let end = Instant::now() + Duration::from_secs(8);
    while Instant::now() < end {
        attempts += 1;
        stage.edit(super::stage::CSI_DRIVER, |driver| {
            driver["spec"]["podInfoOnMount"] = json!(false);
            driver["metadata"]["annotations"]["attempt"] = json!(attempts.to_string());
        });
        stage.api.wait(Duration::from_millis(400), |_| false);
    }
    assert_eq!(stage.condition(STATICS), "True SyncError");
    let writes = stage.writes();
    let refused = writes.iter().filter(|write| write.ends_with(" 403")).count();
    assert!(refused > 8, "it has tried {refused} times");
    // At once, and then after a second, two, and four.
    let reports = writes.iter().filter(|write| write.contains(REQUEST)).count();
    assert!((2..=5).contains(&reports), "{reports} reports: {writes:?}");
}

const CHANGES: usize = 8;
