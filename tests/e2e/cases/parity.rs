//! What the fast tests believe of an API server, asked of this one.

use super::Case;
use crate::stage::Stage;
use kit::api_cases::{self, Api};

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "the double of the fast tests answers as this API server does, question by question",
    play: answers_alike,
}];

fn answers_alike(stage: &mut Stage) {
    let namespace = stage.namespace("parity");
    let (server, credentials) = (&stage.control_plane.api_server, &stage.control_plane.credentials);
    let api =
        Api::new(&server.url, Some(&credentials.authority), Some(&credentials.administrator), &namespace)
            .expect("the API server's address and authority are good");
    let (mut asked, mut failed) = (0, Vec::new());
    api_cases::run(&api, |sentence, result| {
        asked += 1;
        failed.extend(result.err().map(|why| format!("{sentence}: {why}")));
    });
    assert!(failed.is_empty() && asked > 0, "{} of {asked} differ:\n{}", failed.len(), failed.join("\n"));
    stage.remark(format!("{asked} questions"));
}
