//! Points in time as people and Kubernetes read them: the civil date and time in UTC.
//!
//! Knows no time zone but UTC, and parses one form alone, that of HTTP's Date header. It reads no clock: the instant
//! is always an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A date and time of day in UTC, in the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Year, negative before year 0.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: i64,
    /// Day of the month, 1 to 31.
    pub day: i64,
    /// Hour, 0 to 23.
    pub hour: i64,
    /// Minute, 0 to 59.
    pub minute: i64,
    /// Second, 0 to 59: system time has no leap seconds.
    pub second: i64,
    /// Microsecond, 0 to 999,999; finer parts are cut off.
    pub micros: u32,
}

impl From<SystemTime> for Timestamp {
    fn from(instant: SystemTime) -> Timestamp {
        let (seconds, nanos) = seconds_and_nanos(instant);
        let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_PER_DAY));
        let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
        Timestamp {
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            micros: nanos / 1000,
        }
    }
}

/// `2026-04-01T09:08:07.000123Z`, the form of Kubernetes' MicroTime and of JSON log lines.
pub fn rfc3339_micros(instant: SystemTime) -> String {
    let time = Timestamp::from(instant);
    format!("{}.{:06}Z", date_and_time(time), time.micros)
}

/// `2026-04-01T09:08:07Z`, the form of Kubernetes' Time; parts of a second are cut off.
pub fn rfc3339_seconds(instant: SystemTime) -> String {
    format!("{}Z", date_and_time(Timestamp::from(instant)))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that HTTP servers write; `None` for everything else, and for
/// times before 1970.
pub fn from_http_date(text: &str) -> Option<SystemTime> {
    let (_weekday, rest) = text.strip_suffix(" GMT")?.split_once(", ")?;
    let mut parts = rest.split([' ', ':']).map(|part| part.trim_start_matches('0'));
    let number = |name: Option<&str>| match name {
        Some("") => Some(0),
        Some(digits) if digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok()
        }
        _ => None,
    };
    let day: i64 = number(parts.next())?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let (year, hour, minute) = (number(parts.next())?, number(parts.next())?, number(parts.next())?);
    let second = number(parts.next())?;
    let is_time = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_time || parts.next().is_some() {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn date_and_time(t: Timestamp) -> String {
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute, t.second)
}

/// Whole seconds since 1970, rounded down, and the nanoseconds after them.
fn seconds_and_nanos(instant: SystemTime) -> (i64, u32) {
    match instant.duration_since(UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            match before.subsec_nanos() {
                0 => (-seconds, 0),
                nanos => (-seconds - 1, NANOS_PER_SECOND - nanos),
            }
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day
/// is the last of its year, within eras of 400 years, after which the calendar repeats.
fn civil_date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + DAYS_FROM_YEAR_0_TO_1970;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let leap_days_skipped = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days_skipped) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// The way back.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year_from_march = year - i64::from(month <= 2);
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_FROM_YEAR_0_TO_1970
}

const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// Days of 400 Gregorian years.
const DAYS_PER_ERA: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const DAYS_FROM_YEAR_0_TO_1970: i64 = 719_468;
/// As HTTP writes them.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_have_their_known_names() {
        let rows = [
            ("the epoch", 0, "1970-01-01T00:00:00Z"),
            ("last second of a day", 86_399, "1970-01-01T23:59:59Z"),
            ("a billion", 1_000_000_000, "2001-09-09T01:46:40Z"),
            ("leap day of a century leap year", 951_782_400, "2000-02-29T00:00:00Z"),
            ("the day after", 951_868_800, "2000-03-01T00:00:00Z"),
            ("leap day", 1_709_164_800, "2024-02-29T00:00:00Z"),
            ("last second of a year", 1_735_689_599, "2024-12-31T23:59:59Z"),
            ("end of 32 bits", 2_147_483_647, "2038-01-19T03:14:07Z"),
            ("a century without leap day", 4_107_542_400, "2100-03-01T00:00:00Z"),
            ("the day before it", 4_107_456_000, "2100-02-28T00:00:00Z"),
            ("last of the four-digit years", 253_402_300_799, "9999-12-31T23:59:59Z"),
        ];
        for (name, seconds, text) in rows {
            assert_eq!(rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)), text, "{name}");
        }
    }

    #[test]
    fn microseconds_are_padded_and_finer_parts_cut() {
        let instant = UNIX_EPOCH + Duration::new(1_775_034_487, 123_999);
        assert_eq!(rfc3339_micros(instant), "2026-04-01T09:08:07.000123Z");
        assert_eq!(rfc3339_seconds(instant), "2026-04-01T09:08:07Z");
    }

    #[test]
    fn instants_before_1970_round_down_like_all_others() {
        assert_eq!(rfc3339_micros(UNIX_EPOCH - Duration::from_micros(1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339_seconds(UNIX_EPOCH - Duration::from_secs(86_400)), "1969-12-31T00:00:00Z");
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut previous = civil_date(-200_000);
        for day in -199_999..100_000 {
            let (year, month, date) = civil_date(day);
            let (y, m, d) = previous;
            let is_next_day = (year, month, date) == (y, m, d + 1);
            let is_next_month = (year, month, date) == (y, m + 1, 1) && d >= 28;
            let is_next_year = (year, month, date) == (y + 1, 1, 1) && (m, d) == (12, 31);
            assert!(is_next_day || is_next_month || is_next_year, "{previous:?} then {year}-{month}-{date}");
            assert_eq!(days_since_1970(year, month, date), day, "{year}-{month}-{date}");
            previous = (year, month, date);
        }
    }

    #[test]
    fn the_date_header_is_read_in_its_one_form() {
        let rows = [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Sat, 31 Dec 2016 23:59:60 GMT", Some(1_483_228_800)),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 24:00:00 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:37:01 GMT", None),
            ("Sun, 06 Nov 99999999999 08:49:37 GMT", None),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sun, -6 Nov 1994 08:49:37 GMT", None),
            ("", None),
        ];
        for (text, seconds) in rows {
            let expected = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(from_http_date(text), expected, "{text}");
        }
    }
}
