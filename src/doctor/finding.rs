//! What the doctor found: one thing that was looked at, the verdict, and how to mend it.

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: a name that scripts and documents may rely on.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen; may hold text from outside, which the report makes printable.
    pub what: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Works, and somebody should know.
    Warning,
    /// Does not work.
    Wrong,
    /// Could not be looked at.
    Unknown,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Good => "good",
            Verdict::Warning => "warning",
            Verdict::Wrong => "wrong",
            Verdict::Unknown => "unknown",
        }
    }
}

impl Finding {
    /// As it should be.
    pub fn good(check: &'static str, what: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Good, what: what.into(), remedy: None }
    }

    /// Works, and somebody should know.
    pub fn warning(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Warning, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// Does not work.
    pub fn wrong(check: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Wrong, what: what.into(), remedy: Some(remedy.into()) }
    }

    /// Could not be looked at.
    pub fn unknown(check: &'static str, what: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Unknown, what: what.into(), remedy: None }
    }

    /// With something to do about it.
    pub fn mended_by(self, remedy: impl Into<String>) -> Finding {
        Finding { remedy: Some(remedy.into()), ..self }
    }
}

/// Findings of each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// As it should be.
    pub good: usize,
    /// Works, and somebody should know.
    pub warnings: usize,
    /// Does not work.
    pub wrong: usize,
    /// Could not be looked at.
    pub unknown: usize,
}

impl Counts {
    /// Counts them.
    pub fn of(findings: &[Finding]) -> Counts {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        Counts {
            good: count(Verdict::Good),
            warnings: count(Verdict::Warning),
            wrong: count(Verdict::Wrong),
            unknown: count(Verdict::Unknown),
        }
    }
}
