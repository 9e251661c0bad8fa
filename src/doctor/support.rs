//! Where to look further: what no check can see from here.

use super::finding::Finding;
use super::subject::Subject;

/// The commands that show logs and events, and what stands in for a profile.
pub fn check(_: &Subject) -> Vec<Finding> {
    vec![
        Finding::good(
            "logs",
            "kubectl logs -n kube-system <driver pod> -c secrets-store shows the driver's log (-v=5 for more), kubectl \
             describe pod why a pod waits",
        ),
        Finding::good(
            "profiling",
            "there is no profiling endpoint; /metrics has durations and counts of every kind of call",
        ),
    ]
}
