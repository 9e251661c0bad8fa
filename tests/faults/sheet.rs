//! What one case showed: three columns, each line of which was asserted before it was written.

/// The columns.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    /// Kubelet's answer and the volume's content.
    pub pod: Vec<String>,
    /// Series that rose.
    pub metrics: Vec<String>,
    /// What is left, and what it cost.
    pub left: Vec<String>,
}

impl Sheet {
    /// Adds what the pod, or kubelet for it, sees.
    pub fn pod(&mut self, what: String) {
        push(&mut self.pod, what);
    }

    /// Adds what is left.
    pub fn left(&mut self, what: String) {
        push(&mut self.left, what);
    }
}

/// What is seen twice in a row is told once.
fn push(column: &mut Vec<String>, what: String) {
    if column.last() != Some(&what) {
        column.push(what);
    }
}
