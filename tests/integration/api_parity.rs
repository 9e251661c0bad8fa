//! The API server double against the cases that a real kube-apiserver passes as well.
//!
//! To see the cases pass against a real one, without the whole of `make e2e`: `PARITY_SERVER=https://host:port`,
//! `PARITY_CA_FILE` and `PARITY_TOKEN` of an administrator.

use std::sync::Arc;

use api_server::{ApiServer, Settings};
use kit::api_cases::{self, Api};

#[test]
fn the_double_behaves_as_a_real_server_does() {
    let double = Arc::new(ApiServer::with(Settings { tls: true, token: Some("administrator".to_owned()) }));
    let api = match std::env::var("PARITY_SERVER") {
        Ok(url) => {
            let value = |name: &str| std::env::var(name).unwrap();
            let authority = std::fs::read_to_string(value("PARITY_CA_FILE")).unwrap();
            let namespace = format!("parity-{}", std::process::id());
            Api::new(&url, Some(&authority), Some(&value("PARITY_TOKEN")), &namespace).unwrap()
        }
        Err(_) => {
            let collected = Arc::clone(&double);
            let api =
                Api::new(&double.url(), Some(&double.ca_pem()), Some("administrator"), "parity").unwrap();
            api.nudged_by(move || _ = collected.collect_garbage())
        }
    };
    let (mut count, mut failures) = (0, Vec::new());
    api_cases::run(&api, |sentence, result| {
        count += 1;
        if let Err(why) = result {
            failures.push(format!("{sentence}: {why}"));
        }
    });
    assert!(failures.is_empty(), "{} of {count} cases:\n{}", failures.len(), failures.join("\n"));
}
