//! Another operator, of another make and in another namespace, that reports on the same object.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::stage::{REQUEST, STATICS, Stage};

const THEIRS: &str = "of the other operator";

#[test]
fn an_operator_that_is_written_over_again_and_again_reports_seldom_and_says_by_whom() {
    let (stage, operator) = Stage::installed();
    stage.roll_out(1);
    stage.wait("the roll-out is noted", |_| stage.condition(super::stage::PROGRESSING) == "False AsExpected");
    stage.api.forget_requests();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // As such an operator does: whatever is not its own word is written over at once.
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                if stage.message(STATICS) != THEIRS {
                    stage.edit(REQUEST, |object| {
                        let conditions = object["status"]["conditions"].as_array_mut().unwrap();
                        let one = conditions.iter_mut().find(|one| one["type"] == STATICS).unwrap();
                        one["message"] = json!(THEIRS);
                    });
                }
                stage.api.wait(Duration::from_millis(20), |_| false);
            }
        });
        stage.wait("it is told", |_| operator.log().contains("another operator reports"));
        stage.api.wait(Duration::from_secs(3), |_| false);
        is_over.store(true, Ordering::SeqCst);
    });
    let reports = stage.writes().iter().filter(|write| write.contains("/status 200")).count();
    assert!(reports <= 3, "{reports} reports: {:?}", stage.writes());
    let log = operator.log();
    assert_eq!(log.matches("another operator reports").count(), 1, "{log}");
    assert!(log.contains("as field manager test"), "{log}");
    let events = stage.api.list("/api/v1/namespaces/storage/events");
    assert!(events.iter().any(|event| event["reason"] == "AnotherOperator"), "{events:?}");
}
