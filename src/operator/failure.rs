//! Why something could not be done, as one line for a condition, and whether it makes sense to go on with the rest.

use std::fmt;

use kube::error::ApiError;

/// Something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    text: String,
    ends_turn: bool,
    is_forbidden: bool,
}

impl Failure {
    /// About one object; the others are gone on with.
    pub fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), ends_turn: false, is_forbidden: false }
    }

    /// Another process may lead by now, so nothing is written any more.
    pub fn not_leading() -> Failure {
        let text = "this operator does not hold the lease any longer".to_owned();
        Failure { text, ends_turn: true, is_forbidden: false }
    }

    /// With what it is about in front.
    pub fn about(self, what: &str) -> Failure {
        Failure { text: format!("{what}: {}", self.text), ..self }
    }

    /// Whether the API server said that the operator may not do this.
    pub fn is_forbidden(&self) -> bool {
        self.is_forbidden
    }

    /// Whether everything else would fail as well.
    pub fn ends_turn(&self) -> bool {
        self.ends_turn
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        // Without an answer each further call would only wait as long again.
        let ends_turn = matches!(error, ApiError::Transport { .. } | ApiError::OutOfTime { .. });
        Failure { text: error.to_string().replace('\n', " "), ends_turn, is_forbidden: error.is_forbidden() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
