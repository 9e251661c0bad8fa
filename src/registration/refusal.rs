//! What a refusal of kubelet's means to whoever has to mend it.
//!
//! Kubelet tells a cause as text alone. A few phrases of it have stood for years; anything else is shown as it came.

/// Who is at fault as far as the text shows, and what to look at.
pub(super) fn advice(text: &str) -> &'static str {
    let row = PHRASES.iter().find(|(phrases, _)| phrases.iter().any(|phrase| text.contains(phrase)));
    row.map_or("see what it says", |(_, advice)| advice)
}

const PHRASES: &[(&[&str], &str)] = &[
    (
        &["already registered"],
        "kubelet still has a driver of this name: one that is just being replaced is gone in a moment; otherwise \
         two pods on this node register the same name",
    ),
    (
        &["dial unix", "connection error", "code = Unavailable", "code = DeadlineExceeded"],
        "it could not call the endpoint: on the node's own file system, that has to be the path of the CSI socket; \
         set it with --kubelet-registration-path",
    ),
    (
        &["CSI driver node info", "CSINode", "node annotation"],
        "it could not note the driver at the API server: see kubelet's log",
    ),
    (&["no handler registered", "are supported"], "this kubelet does not take CSI drivers of this kind"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubelets_say_leads_to_what_has_to_be_mended() {
        let rows = [
            (
                "RegisterPlugin error -- plugin validation failed with err: validation failed for CSI Driver d at \
                 endpoint /e: ValidatePlugin for CSI driver \"d\" failed. Another driver with the same name is \
                 already registered with a higher supported version: \"1.0.0\"",
                "two pods on this node",
            ),
            (
                "RegisterPlugin error -- plugin registration failed with err: rpc error: code = Unavailable desc = \
                 connection error: desc = \"transport: Error while dialing: dial unix /var/lib/x: connect: no such \
                 file or directory\"",
                "--kubelet-registration-path",
            ),
            (
                "plugin registration failed with err: error updating CSINode object with CSI driver node info: x",
                "API server",
            ),
            (
                "RegisterPlugin error -- no handler registered for plugin type: CSIPlugin at socket /s",
                "does not take CSI drivers",
            ),
            ("something new", "see what it says"),
            ("", "see what it says"),
        ];
        for (text, expected) in rows {
            assert!(advice(text).contains(expected), "{text}: {}", advice(text));
        }
    }
}
