//! Whether and how often the driver refreshes volumes, as the administrator wants it.

use std::time::Duration;

use serde_json::Value;

use super::spec::{SpecError, field, number, text};

/// `secretRotation`, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RotationSetting {
    /// Left out, or for another driver.
    #[default]
    Absent,
    /// Switched off.
    None,
    /// Switched on.
    Custom {
        /// Seconds; `None` where it does not say.
        minimum_refresh_age: Option<i64>,
    },
    /// A type that this operator does not know.
    Other(String),
}

/// What the driver is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Whether kubelet calls again for a volume, and the driver then refreshes it.
    pub is_enabled: bool,
    /// The shortest time between two refreshes of a volume.
    pub interval: Duration,
}

impl RotationSetting {
    /// Reads the part of the object.
    pub(super) fn read(setting: Option<&Value>) -> Result<RotationSetting, SpecError> {
        let Some(setting) = setting else { return Ok(RotationSetting::Absent) };
        Ok(match text(setting, "type", PATH)? {
            None | Some("") => RotationSetting::Absent,
            Some("None") => RotationSetting::None,
            Some("Custom") => {
                let custom = field(setting, "custom", PATH)?;
                let age = custom.map(|custom| number(custom, "minimumRefreshAge", PATH)).transpose()?;
                RotationSetting::Custom { minimum_refresh_age: age.flatten() }
            }
            Some(other) => RotationSetting::Other(other.to_owned()),
        })
    }

    /// What that means: on at two minutes, unless it says otherwise.
    pub fn effective(&self) -> Rotation {
        let default = Rotation { is_enabled: true, interval: DEFAULT_INTERVAL };
        match self {
            RotationSetting::Absent | RotationSetting::Other(_) => default,
            RotationSetting::None => Rotation { is_enabled: false, ..default },
            RotationSetting::Custom { minimum_refresh_age } => {
                let seconds = minimum_refresh_age.and_then(|age| u64::try_from(age).ok());
                let age = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
                Rotation { interval: age.unwrap_or(DEFAULT_INTERVAL), ..default }
            }
        }
    }
}

impl Rotation {
    /// The interval as the driver's flag takes it: whole minutes as such, the rest with every part down to seconds.
    pub fn interval_text(&self) -> String {
        let seconds = self.interval.as_secs();
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match (hours, seconds / 60, rest) {
            (_, whole @ 1.., 0) => format!("{whole}m"),
            (0, 0, rest) => format!("{rest}s"),
            (0, _, rest) => format!("{minutes}m{rest}s"),
            (hours, _, rest) => format!("{hours}h{minutes}m{rest}s"),
        }
    }
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(120);
const PATH: &str = "spec.driverConfig.secretsStore.secretRotation";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use base::go_duration::GoDuration;

    fn effective(setting: Option<Value>) -> (bool, u64) {
        let rotation = RotationSetting::read(setting.as_ref()).unwrap().effective();
        (rotation.is_enabled, rotation.interval.as_secs())
    }

    #[test]
    fn each_form_of_the_setting_has_its_meaning() {
        let custom = |age: i64| json!({"type": "Custom", "custom": {"minimumRefreshAge": age}});
        let rows = [
            ("absent", None, (true, 120)),
            ("no type", Some(json!({})), (true, 120)),
            ("an empty type", Some(json!({"type": ""})), (true, 120)),
            ("null", Some(json!({"type": null})), (true, 120)),
            ("None", Some(json!({"type": "None"})), (false, 120)),
            (
                "None with a rest",
                Some(json!({"type": "None", "custom": {"minimumRefreshAge": 7}})),
                (false, 120),
            ),
            ("Custom", Some(custom(300)), (true, 300)),
            ("Custom, shortest", Some(custom(1)), (true, 1)),
            ("Custom, longest", Some(custom(31_560_000)), (true, 31_560_000)),
            ("Custom, zero", Some(custom(0)), (true, 120)),
            ("Custom, negative", Some(custom(-5)), (true, 120)),
            ("Custom without age", Some(json!({"type": "Custom", "custom": {}})), (true, 120)),
            ("Custom without custom", Some(json!({"type": "Custom"})), (true, 120)),
            ("unknown", Some(json!({"type": "Weekly"})), (true, 120)),
        ];
        for (name, setting, expected) in rows {
            assert_eq!(effective(setting), expected, "{name}");
        }
    }

    #[test]
    fn an_unknown_type_is_kept_as_what_it_is() {
        let read = RotationSetting::read(Some(&json!({"type": "Weekly"}))).unwrap();
        assert_eq!(read, RotationSetting::Other("Weekly".into()));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_that_names_its_place_and_not_the_value() {
        let rows = [json!({"type": 77}), json!({"type": "Custom", "custom": {"minimumRefreshAge": "77"}})];
        for setting in rows {
            let error = RotationSetting::read(Some(&setting)).unwrap_err().to_string();
            assert!(error.contains("spec.driverConfig.secretsStore.secretRotation"), "{error}");
            assert!(!error.contains("77"), "{error}");
        }
    }

    #[test]
    fn the_interval_is_written_as_the_driver_reads_it() {
        let rows = [
            (120, "2m"),
            (300, "5m"),
            (90, "1m30s"),
            (45, "45s"),
            (1, "1s"),
            (60, "1m"),
            (3600, "60m"),
            (3605, "1h0m5s"),
            (3661, "1h1m1s"),
            (31_560_000, "526000m"),
        ];
        for (seconds, expected) in rows {
            let rotation = Rotation { is_enabled: true, interval: Duration::from_secs(seconds) };
            assert_eq!(rotation.interval_text(), expected);
            assert_eq!(GoDuration::parse(expected).unwrap().or_zero(), rotation.interval, "{expected}");
        }
    }
}
