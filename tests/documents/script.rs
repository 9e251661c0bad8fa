//! What kind of commands a block has, as far as the runner has to know.

/// True when every command is one of make, which CI runs itself.
pub fn is_for_make(script: &str) -> bool {
    commands(script).all(|command| command.starts_with("make "))
}

/// True when no command changes anything, so that the block can be run again.
pub fn only_looks(script: &str) -> bool {
    commands(script).all(|command| LOOKS.iter().any(|look| command.starts_with(look)))
}

/// The commands of a script: its lines, without those of texts for other programs and those that go on.
pub fn commands(script: &str) -> impl Iterator<Item = &str> {
    let mut end_of_text: Option<&str> = None;
    let mut goes_on = false;
    script.lines().filter(move |line| {
        if let Some(end) = end_of_text {
            if *line == end {
                end_of_text = None;
            }
            return false;
        }
        if line.contains("<<'EOF'") {
            end_of_text = Some("EOF");
        }
        let is_first = !goes_on;
        goes_on = line.ends_with('\\');
        is_first && !line.trim().is_empty() && !line.starts_with('#')
    })
}

/// Beginnings of commands that change nothing, or nothing twice.
const LOOKS: [&str; 11] = [
    "kubectl get ",
    "kubectl wait ",
    "kubectl rollout status ",
    "kubectl exec ",
    "kubectl logs ",
    "kubectl describe ",
    "kubectl auth can-i ",
    "kubectl label --overwrite ",
    "helm list ",
    "helm status ",
    "curl ",
];
