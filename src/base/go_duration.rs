//! A signed duration in the notation of Go's `time.ParseDuration`, which is what the driver's flags are
//! written in.
//!
//! Knows nothing of flags. Every input is answered with a value or an error; none can make it panic.

use std::fmt;
use std::time::Duration;

/// A length of time in nanoseconds that may be negative, from about -292 to +292 years.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// The text is not a duration such as `2m`, `1h15m`, `1.5s` or `-500ms`, or it is too long for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDuration;

impl GoDuration {
    /// Reads `[-+]` followed by one or more decimal numbers with a unit each; a bare `0` needs no unit.
    pub fn parse(text: &str) -> Result<GoDuration, InvalidDuration> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if unsigned == "0" {
            return Ok(GoDuration(0));
        }
        if unsigned.is_empty() {
            return Err(InvalidDuration);
        }
        let nanos = parse_parts(unsigned)?;
        if is_negative { 0i64.checked_sub_unsigned(nanos) } else { 0i64.checked_add_unsigned(nanos) }
            .map(GoDuration)
            .ok_or(InvalidDuration)
    }

    /// The length in nanoseconds.
    pub fn as_nanos(self) -> i64 {
        self.0
    }

    /// The same length for the standard library, where a negative one becomes zero.
    pub fn or_zero(self) -> Duration {
        u64::try_from(self.0).map_or(Duration::ZERO, Duration::from_nanos)
    }
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parse error")
    }
}

impl std::error::Error for InvalidDuration {}

fn parse_parts(mut rest: &str) -> Result<u64, InvalidDuration> {
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole_digits, after) = split_digits(rest);
        rest = after;
        let mut fraction_digits = "";
        if let Some(after) = rest.strip_prefix('.') {
            (fraction_digits, rest) = split_digits(after);
        }
        if whole_digits.is_empty() && fraction_digits.is_empty() {
            return Err(InvalidDuration);
        }
        let (unit, after) = split_unit(rest);
        rest = after;
        let unit = unit_nanos(unit).ok_or(InvalidDuration)?;
        let whole = parse_whole(whole_digits)?.checked_mul(unit).ok_or(InvalidDuration)?;
        let part = whole.checked_add(fraction_nanos(fraction_digits, unit)).ok_or(InvalidDuration)?;
        total = total.checked_add(part).ok_or(InvalidDuration)?;
    }
    Ok(total)
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn parse_whole(digits: &str) -> Result<u64, InvalidDuration> {
    if digits.is_empty() {
        return Ok(0);
    }
    digits.parse().map_err(|_| InvalidDuration)
}

/// Floating point, as in Go, so that `0.3333333333333333333h` is the same 20 minutes there and here.
fn fraction_nanos(digits: &str, unit: u64) -> u64 {
    let mut fraction: u64 = 0;
    let mut scale = 1.0_f64;
    for digit in digits.bytes().map(|byte| u64::from(byte.wrapping_sub(b'0'))) {
        // Digits beyond 63 bits are far below a nanosecond of any unit.
        match fraction.checked_mul(10).and_then(|shifted| shifted.checked_add(digit)) {
            Some(longer) if longer <= MAX_FRACTION => {
                fraction = longer;
                scale *= 10.0;
            }
            _ => break,
        }
    }
    // Casts: rounding to 53 bits is the behaviour wanted here, the product is below `unit` (an hour at most),
    // and a cast from a float saturates.
    (fraction as f64 * (unit as f64 / scale)) as u64
}

fn unit_nanos(unit: &str) -> Option<u64> {
    match unit {
        "ns" => Some(1),
        // The micro sign, and the Greek letter that looks the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => Some(1_000),
        "ms" => Some(1_000_000),
        "s" => Some(1_000_000_000),
        "m" => Some(60_000_000_000),
        "h" => Some(3_600_000_000_000),
        _ => None,
    }
}

const MAX_FRACTION: u64 = i64::MAX.unsigned_abs();

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn durations_read_as_go_reads_them() {
        let rows = [
            ("zero without a unit", "0", 0),
            ("signed zero", "-0", 0),
            ("two minutes", "2m", 120 * SECOND),
            ("compound", "1h15m30.918273645s", 4_530_918_273_645),
            ("milliseconds", "500ms", 500_000_000),
            ("negative", "-1m", -60 * SECOND),
            ("plus sign", "+5s", 5 * SECOND),
            ("fraction without whole part", ".5s", SECOND / 2),
            ("whole part with a bare point", "1.s", SECOND),
            ("us", "12us", 12_000),
            ("micro sign", "12\u{b5}s", 12_000),
            ("greek mu", "12\u{3bc}s", 12_000),
            ("nanoseconds", "7ns", 7),
            ("units in any order and repeated", "1s1h1s", 3602 * SECOND),
            ("rounding of a long fraction", "0.3333333333333333333h", 1200 * SECOND),
            ("a fraction longer than 64 bits", "0.100000000000000000000h", 360 * SECOND),
            ("the longest", "9223372036854775807ns", i64::MAX),
            ("the shortest", "-9223372036854775808ns", i64::MIN),
            ("the longest in hours", "2562047h47m16.854775807s", i64::MAX),
        ];
        for (name, text, nanos) in rows {
            assert_eq!(GoDuration::parse(text), Ok(GoDuration(nanos)), "{name}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let rows = [
            ("empty", ""),
            ("no unit", "120"),
            ("no unit on the last part", "1m30"),
            ("only a sign", "-"),
            ("two signs", "--1s"),
            ("only a unit", "s"),
            ("only a point", "."),
            ("point and unit", ".s"),
            ("unknown unit", "1d"),
            ("upper case unit", "1S"),
            ("space", "1 s"),
            ("surrounding space", " 1s"),
            ("overflow in digits", "99999999999999999999s"),
            ("overflow in the unit", "9999999999h"),
            ("overflow in the sum", "9223372036854775807ns1ns"),
            ("one past the longest", "9223372036854775808ns"),
            ("one past the shortest", "-9223372036854775809ns"),
            ("hexadecimal", "0x1s"),
            ("digits of another script", "\u{661}s"),
        ];
        for (name, text) in rows {
            assert_eq!(GoDuration::parse(text), Err(InvalidDuration), "{name}");
        }
    }

    #[test]
    fn a_negative_duration_is_zero_for_the_standard_library() {
        assert_eq!(GoDuration(-1).or_zero(), Duration::ZERO);
        assert_eq!(GoDuration(1_500_000_000).or_zero(), Duration::from_millis(1500));
    }
}
