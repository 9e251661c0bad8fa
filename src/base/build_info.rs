//! What was built, from which commit and when, as the build handed it over.
//!
//! Reads nothing at run time: the values are fixed when the program is compiled.

use crate::text::json_quoted;

/// Identity of the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// Release, from `BUILD_VERSION`; `local-dev` where the build did not say.
    pub version: &'static str,
    /// Short commit hash, from `GIT_COMMIT`; empty where the build did not say.
    pub commit: &'static str,
    /// `YYYY-MM-DD-HH:MM`, from `BUILD_DATE`; empty where the build did not say.
    pub date: &'static str,
}

impl BuildInfo {
    /// The build of the running program.
    pub const fn current() -> BuildInfo {
        BuildInfo {
            version: or_default(option_env!("BUILD_VERSION"), "local-dev"),
            commit: or_default(option_env!("GIT_COMMIT"), ""),
            date: or_default(option_env!("BUILD_DATE"), ""),
        }
    }

    /// The answer to `--version`: one JSON object, without the line break.
    pub fn json(&self) -> String {
        format!(
            "{{\"BuildVersion\":{},\"GitCommit\":{},\"BuildDate\":{}}}",
            json_quoted(self.version),
            json_quoted(self.commit),
            json_quoted(self.date)
        )
    }

    /// How the driver introduces itself to the API server. `component` is, for example, `controller`.
    pub fn user_agent(&self, component: &str) -> String {
        self.user_agent_of(&format!("csi-secrets-store/{component}"))
    }

    /// How another program of ours does. What is before the first slash is the manager of the fields that it sets.
    pub fn user_agent_of(&self, program: &str) -> String {
        let BuildInfo { version, commit, date } = self;
        let (os, arch) = (std::env::consts::OS, go_architecture(std::env::consts::ARCH));
        format!("{program}/{version} ({os}/{arch}) {commit}/{date}")
    }
}

/// A build argument that was passed on empty, as container builds do, counts as not given.
const fn or_default(given: Option<&'static str>, default: &'static str) -> &'static str {
    match given {
        Some(text) if !text.is_empty() => text,
        _ => default,
    }
}

/// Kubernetes names architectures as Go does.
fn go_architecture(rust_name: &str) -> &str {
    match rust_name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_has_exactly_three_keys_in_order() {
        let build = BuildInfo { version: "v1.6.0", commit: "abc1234", date: "2026-04-01-09:08" };
        let line = r#"{"BuildVersion":"v1.6.0","GitCommit":"abc1234","BuildDate":"2026-04-01-09:08"}"#;
        assert_eq!(build.json(), line);
    }

    #[test]
    fn a_build_that_says_nothing_is_local_dev() {
        assert_eq!(or_default(None, "local-dev"), "local-dev");
        assert_eq!(or_default(Some(""), "local-dev"), "local-dev");
        let build = BuildInfo { version: "local-dev", commit: "", date: "" };
        assert_eq!(build.json(), r#"{"BuildVersion":"local-dev","GitCommit":"","BuildDate":""}"#);
    }

    #[test]
    fn the_user_agent_names_component_version_platform_and_commit() {
        let build = BuildInfo { version: "v1", commit: "abc", date: "now" };
        let (os, arch) = (std::env::consts::OS, go_architecture(std::env::consts::ARCH));
        let expected = format!("csi-secrets-store/controller/v1 ({os}/{arch}) abc/now");
        assert_eq!(build.user_agent("controller"), expected);
    }
}
