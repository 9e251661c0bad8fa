//! What the caller wants.

use std::time::{SystemTime, UNIX_EPOCH};

/// The arguments, with defaults for what is not given.
pub struct Options {
    /// How often the driver is killed at a moment of chance; none for no such scene.
    pub kills: u64,
    /// Whether it is killed at its system calls.
    pub calls: bool,
    /// All points, not a sample of them.
    pub full: bool,
    /// Of the system calls, only the cases whose description has this in it.
    pub case: String,
    pub seed: u64,
}

impl Options {
    /// An empty value counts as none, so that a caller can pass on what nobody has set.
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(now.subsec_nanos());
        let mut options = Options { kills: KILLS, calls: true, full: false, case: String::new(), seed };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest.next().ok_or(argument.as_str())?;
            let number = || value.parse::<u64>().map_err(|_| format!("{argument} {value}"));
            match argument.as_str() {
                _ if value.is_empty() => {}
                "--kills" => options.kills = number()?,
                "--seed" => options.seed = number()?,
                "--case" => options.case.clone_from(value),
                "--full" => options.full = value != "0",
                "--only" if value == "kills" => options.calls = false,
                "--only" if value == "calls" => options.kills = 0,
                _ => return Err(format!("{argument} {value}")),
            }
        }
        Ok(options)
    }
}

/// What a run is to survive.
const KILLS: u64 = 500;
