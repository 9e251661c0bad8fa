//! What the caller wants.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::go_duration::GoDuration;

/// The arguments, with defaults for what is not given.
pub struct Options {
    /// How long pods come and go.
    pub time: Duration,
    pub seed: u64,
    /// Where the figures go for programs.
    pub json: Option<String>,
}

impl Options {
    /// An empty value counts as none, so that a caller can pass on what nobody has set.
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut options = Options { time: TIME, seed: u64::from(now.subsec_nanos()), json: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let value = rest.next().ok_or(format!("{argument} has no value"))?;
            let wrong = |what: &str| format!("{argument} {value} is no {what}");
            match argument.as_str() {
                _ if value.is_empty() => {}
                "--time" => {
                    options.time = GoDuration::parse(value).map_err(|_| wrong("time such as 30m"))?.or_zero();
                }
                "--seed" => options.seed = value.parse().map_err(|_| wrong("number"))?,
                "--json" => options.json = Some(value.clone()),
                _ => return Err(format!("unknown argument {argument}")),
            }
        }
        if options.time < SHORTEST {
            return Err(format!("a time below {} s brings too few samples", SHORTEST.as_secs()));
        }
        Ok(options)
    }
}

/// Long enough for what leaks a little at a time.
const TIME: Duration = Duration::from_secs(30 * 60);
/// Some nine waves of the shortest kind.
const SHORTEST: Duration = Duration::from_secs(180);
