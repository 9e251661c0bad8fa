//! The commands of the documents, each as it stands there.

use std::collections::BTreeSet;

use super::Case;
use crate::documents;
use crate::stage::Stage;

macro_rules! document {
    ($name:literal) => {
        Case {
            sentence: concat!("the commands of ", $name, " do what it says"),
            play: |stage| documents::play(stage, $name),
        }
    };
}

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "every document with commands is played", play: all_are_played },
    Case {
        sentence: "the demonstration prints what docs/demonstration.md shows",
        play: |_| documents::demonstration::play(),
    },
    document!("docs/using.md"),
    document!("docs/rotation.md"),
    document!("docs/sync.md"),
    document!("docs/environment-variables.md"),
    document!("docs/metrics.md"),
    document!("docs/troubleshooting.md"),
    document!("docs/writing-a-provider.md"),
    document!("docs/releasing.md"),
    document!("docs/migrating.md"),
    document!("docs/operator.md"),
    // Last: afterwards the garbage collector has to learn the custom resources anew.
    document!("README.md"),
    document!("docs/installing.md"),
];

fn all_are_played(_: &mut Stage) {
    let played = |name: &String| CASES.iter().any(|case| case.sentence.contains(&format!(" {name} ")));
    let forgotten: BTreeSet<String> =
        documents::with_commands().into_iter().filter(|name| !played(name)).collect();
    assert!(forgotten.is_empty(), "nobody plays {forgotten:?}");
}
