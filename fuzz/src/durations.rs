//! Durations in Go's notation against exact arithmetic, and the dates of HTTP, there and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::go_duration::GoDuration;
use base::timestamp::{Timestamp, from_http_date, rfc3339_micros, rfc3339_seconds};

use crate::input::Input;

pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    duration(&text);
    every_length_is_read_as_go_writes_it(bytes);
    date(&text);
    every_instant_is_read_as_http_writes_it(bytes);
}

fn duration(text: &str) {
    let read = GoDuration::parse(text).ok().map(GoDuration::as_nanos);
    match (read, exact(text)) {
        (Some(read), Some(exact)) => {
            // Fractions are rounded down, each by less than a nanosecond, and in floating point by a little more.
            let parts = i128::try_from(text.len()).unwrap();
            let off = (i128::from(read) - exact.nanos).abs();
            assert!(off <= parts * (1 + exact.largest_rounding), "{text:?}: {read}, exactly {exact:?}");
        }
        (None, None) => {}
        (None, Some(exact)) => assert!(exact.is_beyond_64_bits(), "{text:?} is refused: {exact:?}"),
        (Some(read), None) => panic!("{text:?} is no duration and was read as {read}"),
    }
    if let Some(nanos) = read {
        let length = GoDuration::parse(text).unwrap().or_zero();
        assert_eq!(length.as_nanos(), u128::try_from(nanos).unwrap_or(0));
        assert_eq!(GoDuration::parse(&format!("{nanos}ns")).map(GoDuration::as_nanos), Ok(nanos));
    }
}

/// The same value by another road.
#[derive(Debug)]
struct Exact {
    nanos: i128,
    /// By how much a fraction of 53 bits may be off.
    largest_rounding: i128,
    has_large_number: bool,
}

impl Exact {
    fn is_beyond_64_bits(&self) -> bool {
        let near = i128::from(i64::MAX) - 1_000_000;
        self.has_large_number || self.nanos.abs() >= near
    }
}

/// Character by character; `None` when the text is no duration, whatever its length.
fn exact(text: &str) -> Option<Exact> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut exact = Exact { nanos: 0, largest_rounding: 0, has_large_number: false };
    if unsigned == "0" {
        return Some(exact);
    }
    let mut rest = unsigned;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        rest = after;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        // Zeros in front cost nothing; more digits than these are beyond every limit.
        let digits = whole.trim_start_matches('0');
        match digits.get(..digits.len().min(25)).unwrap_or_default().parse::<i128>() {
            Ok(value) => exact.nanos = exact.nanos.saturating_add(value.saturating_mul(*nanos)),
            Err(_) => assert!(digits.is_empty(), "{digits}"),
        }
        exact.has_large_number |= digits.len() > 19;
        let fraction = fraction.get(..fraction.len().min(18)).unwrap_or_default();
        if !fraction.is_empty() {
            let scale = 10_i128.pow(u32::try_from(fraction.len()).unwrap());
            exact.nanos += fraction.parse::<i128>().unwrap() * nanos / scale;
            exact.largest_rounding = exact.largest_rounding.max(nanos >> 50);
        }
    }
    (!unsigned.is_empty()).then(|| {
        exact.nanos *= if text.starts_with('-') { -1 } else { 1 };
        exact
    })
}

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// In the manner of Go's Duration.String: hours, minutes, and seconds with a fraction.
fn every_length_is_read_as_go_writes_it(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let nanos = i64::from_le_bytes(std::array::from_fn(|_| input.byte()));
    let sign = if nanos < 0 { "-" } else { "" };
    let (seconds, part) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let text = format!("{sign}{hours}h{minutes}m{seconds}.{part:09}s");
    assert_eq!(GoDuration::parse(&text).map(GoDuration::as_nanos), Ok(nanos), "{text}");
}

fn date(text: &str) {
    let Some(instant) = from_http_date(text) else { return };
    // A leap second is the first of the next minute, and a 31st may be the first of the next month: so the second
    // reading is the one that stands.
    let written = http_date(instant);
    assert_eq!(from_http_date(&written), Some(instant), "{text:?}, {written}");
    assert!(instant >= UNIX_EPOCH, "{text:?}");
}

fn every_instant_is_read_as_http_writes_it(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    // Up to the end of the year 9999, which is the last that HTTP can write.
    let seconds = (u64::from(input.number()) << 8 | u64::from(input.byte())) % 253_402_300_800;
    let nanos = input.number() % 1_000_000_000;
    let instant = UNIX_EPOCH + Duration::new(seconds, nanos);
    let whole = UNIX_EPOCH + Duration::from_secs(seconds);
    assert_eq!(from_http_date(&http_date(instant)), Some(whole));
    let (short, long) = (rfc3339_seconds(instant), rfc3339_micros(instant));
    assert_eq!((short.len(), long.len()), (20, 27), "{short} {long}");
    assert!(short[..19] == long[..19] && long[20..26] == format!("{:06}", nanos / 1000), "{short} {long}");
    // Text and time have the same order.
    let later = rfc3339_micros(instant + Duration::from_micros(1));
    assert!(later > long || seconds == 253_402_300_799, "{long} {later}");
    if let Some(before) = UNIX_EPOCH.checked_sub(Duration::new(seconds, nanos)) {
        let of_before = Timestamp::from(before);
        assert!(of_before.month >= 1 && of_before.month <= 12 && of_before.second < 60, "{of_before:?}");
    }
}

fn http_date(instant: SystemTime) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let Timestamp { year, month, day, hour, minute, second, .. } = Timestamp::from(instant);
    let at = usize::try_from(month - 1).unwrap() * 3;
    format!("Day, {day:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", &MONTHS[at..at + 3])
}
