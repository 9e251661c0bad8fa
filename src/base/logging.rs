//! Log records on standard error, one line each, in klog's text format or as JSON.
//!
//! Knows nothing of who logs what, and never looks at `RUST_LOG`: verbosity comes from the flags alone. The
//! threat: a message or value chosen by a hostile party that forges further records or floods the log. Every
//! text is escaped and cut at a fixed length. Secrets are kept out by their types, not here.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use log::kv::{Error as KvError, Key, Value, VisitSource, VisitValue};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::text::{go_quoted, json_quoted};
use crate::timestamp::{Timestamp, rfc3339_micros};

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// klog's header, then the quoted message, then `key="value"` pairs.
    Text,
    /// One JSON object.
    Json,
}

/// Logging could not be set up.
#[derive(Debug)]
pub enum LoggingError {
    /// The process has a logger already.
    AlreadySet {
        /// What the log facade says.
        source: log::SetLoggerError,
    },
}

/// Starts logging to standard error. `verbosity` is klog's `-v`.
pub fn init(format: Format, verbosity: i32) -> Result<(), LoggingError> {
    let logger = Logger::new(format, verbosity);
    let most = logger.0.filter();
    log::set_boxed_logger(Box::new(logger)).map_err(|source| LoggingError::AlreadySet { source })?;
    log::set_max_level(most);
    Ok(())
}

/// The same, for a program whose verbosity changes while it runs: see [`set_verbosity`].
///
/// # Errors
/// [`LoggingError`] when the process has a logger.
pub fn init_adjustable(format: Format, verbosity: i32) -> Result<(), LoggingError> {
    init(format, i32::MAX)?;
    set_verbosity(verbosity);
    Ok(())
}

/// Writes no more than `verbosity` asks for, from now on, and never more than logging was started with. What libraries
/// may say stays as it is.
pub fn set_verbosity(verbosity: i32) {
    log::set_max_level(level_filter(verbosity));
}

/// The most detailed level that is written at klog's verbosity `v`.
pub fn level_filter(verbosity: i32) -> LevelFilter {
    match verbosity {
        ..=1 => LevelFilter::Info,
        2..=5 => LevelFilter::Debug,
        6.. => LevelFilter::Trace,
    }
}

/// The record as one line, its line break included.
pub fn line(format: Format, record: &Record<'_>, now: SystemTime, pid: u32) -> String {
    let message = cut(record.args());
    let mut fields = match format {
        Format::Text => Fields { out: text_head(record, now, pid, &message), format },
        Format::Json => Fields { out: json_head(record, now, &message), format },
    };
    if record.key_values().visit(&mut fields).is_err() {
        fields.push("incomplete", Rendered::Bare("true".to_owned()));
    }
    fields.out.push_str(match format {
        Format::Text => "\n",
        Format::Json => "}\n",
    });
    fields.out
}

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoggingError::AlreadySet { source } => write!(f, "could not set up logging: {source}"),
        }
    }
}

impl std::error::Error for LoggingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoggingError::AlreadySet { source } => Some(source),
        }
    }
}

/// Libraries never say more than warnings, at any verbosity: what they say else, such as the head of each request, is
/// not ours to choose. Filters by name would do, but for the libraries whose names begin as those of our crates.
struct Logger(env_logger::Logger);

impl Logger {
    fn new(format: Format, verbosity: i32) -> Logger {
        let pid = std::process::id();
        Logger(
            env_logger::Builder::new()
                .filter_level(level_filter(verbosity))
                .target(env_logger::Target::Stderr)
                .format(move |out, record| {
                    out.write_all(line(format, record, SystemTime::now(), pid).as_bytes())
                })
                .build(),
        )
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let name = metadata.target().split("::").next().unwrap_or_default();
        (metadata.level() <= Level::Warn || OURS.contains(&name)) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// The crates of this project, by the names under which they log.
pub const OURS: [&str; 17] = [
    "base",
    "config",
    "confinement",
    "doctor",
    "kube",
    "metrics",
    "mounter",
    "operator",
    "provider",
    "publish",
    "reference_provider",
    "rpc",
    "secrets_store_csi_driver",
    "sync",
    "sys",
    "volume",
    "web",
];

fn text_head(record: &Record<'_>, now: SystemTime, pid: u32, message: &str) -> String {
    let severity = match record.level() {
        Level::Error => 'E',
        Level::Warn => 'W',
        Level::Info | Level::Debug | Level::Trace => 'I',
    };
    let t = Timestamp::from(now);
    let location = location(record);
    format!(
        "{severity}{:02}{:02} {:02}:{:02}:{:02}.{:06} {pid:>7} {}] {}",
        t.month,
        t.day,
        t.hour,
        t.minute,
        t.second,
        t.micros,
        location.strip_prefix("src/").unwrap_or(&location),
        go_quoted(message)
    )
}

fn json_head(record: &Record<'_>, now: SystemTime, message: &str) -> String {
    let level = match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let caller = format!("{}${}", location(record), record.module_path().unwrap_or("?"));
    format!(
        "{{\"level\":\"{level}\",\"timestamp\":\"{}\",\"caller\":{},\"message\":{}",
        rfc3339_micros(now),
        json_quoted(&caller),
        json_quoted(message)
    )
}

/// `dir/file:line`: enough to find the place, and nothing of where the build was made.
fn location(record: &Record<'_>) -> String {
    let path = record.file().unwrap_or("?");
    let start = path.rmatch_indices('/').nth(1).and_then(|(slash, _)| path.get(slash.saturating_add(1)..));
    format!("{}:{}", start.unwrap_or(path), record.line().unwrap_or(0))
}

/// The key-value pairs of a record, appended to its line.
struct Fields {
    out: String,
    format: Format,
}

/// A value as text, and whether quotes go around it.
enum Rendered {
    Bare(String),
    Quoted(String),
}

impl Fields {
    fn push(&mut self, key: &str, value: Rendered) {
        match self.format {
            Format::Text => {
                let key: String = key.chars().map(|c| if is_key_character(c) { c } else { '_' }).collect();
                let value = match value {
                    Rendered::Bare(text) => text,
                    Rendered::Quoted(text) => go_quoted(&text),
                };
                self.out.push_str(&format!(" {key}={value}"));
            }
            Format::Json => {
                // A second `message` would replace the first in most readers.
                let tail = if JSON_HEAD_KEYS.contains(&key) { "_" } else { "" };
                let value = match value {
                    Rendered::Bare(text) => text,
                    Rendered::Quoted(text) => json_quoted(&text),
                };
                self.out.push_str(&format!(",{}:{value}", json_quoted(&format!("{key}{tail}"))));
            }
        }
    }
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), KvError> {
        let mut rendering = Rendering(Rendered::Bare("null".to_owned()));
        value.visit(&mut rendering)?;
        self.push(key.as_str(), rendering.0);
        Ok(())
    }
}

struct Rendering(Rendered);

impl<'v> VisitValue<'v> for Rendering {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), KvError> {
        self.0 = Rendered::Quoted(cut(&value));
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), KvError> {
        self.0 = Rendered::Bare(value.to_string());
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), KvError> {
        self.0 = Rendered::Bare(value.to_string());
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), KvError> {
        // JSON has no word for the others.
        let text = value.to_string();
        self.0 = if value.is_finite() { Rendered::Bare(text) } else { Rendered::Quoted(text) };
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), KvError> {
        self.0 = Rendered::Bare(value.to_string());
        Ok(())
    }
}

/// The displayed text, up to `MAX_TEXT_BYTES`. The rest is counted and never stored, so that a huge value
/// costs no memory.
fn cut(value: &dyn fmt::Display) -> String {
    let mut bounded = Bounded { text: String::new(), length: 0 };
    if write!(bounded, "{value}").is_err() {
        bounded.text.push_str("[could not be displayed]");
    }
    if bounded.length > bounded.text.len() {
        bounded.text.push_str(&format!("...[cut, {} bytes in all]", bounded.length));
    }
    bounded.text
}

struct Bounded {
    text: String,
    length: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let was_complete = self.length == self.text.len();
        self.length = self.length.saturating_add(piece.len());
        if was_complete {
            let room = MAX_TEXT_BYTES.saturating_sub(self.text.len());
            let end = piece.floor_char_boundary(room);
            self.text.push_str(piece.get(..end).unwrap_or_default());
        }
        Ok(())
    }
}

fn is_key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/')
}

/// Longest message or value that is written in full, in bytes: longer than any path or sensible error, short
/// enough for the 16 KiB at which container runtimes split lines.
const MAX_TEXT_BYTES: usize = 4096;

const JSON_HEAD_KEYS: [&str; 4] = ["level", "timestamp", "caller", "message"];

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const PATH: &str = "/build/src/publish/mod.rs";

    /// One line for the level, message and pairs given.
    fn written(format: Format, level: Level, message: &str, pairs: &[(&str, Value<'_>)]) -> String {
        let now = UNIX_EPOCH + Duration::new(1_775_034_487, 123_456_000);
        let args = format_args!("{message}");
        let mut record = Record::builder();
        record.level(level).file(Some(PATH)).line(Some(42)).module_path(Some("driver::publish"));
        line(format, &record.key_values(&pairs).args(args).build(), now, 321)
    }

    #[test]
    fn a_text_line_has_klogs_header_and_quoted_values() {
        let pairs = [("pod", Value::from("a\"b")), ("files", Value::from(3)), ("rotated", Value::from(true))];
        assert_eq!(
            written(Format::Text, Level::Info, "publish complete", &pairs),
            "I0401 09:08:07.123456     321 publish/mod.rs:42] \"publish complete\" \
             pod=\"a\\\"b\" files=3 rotated=true\n"
        );
    }

    #[test]
    fn the_severity_letter_follows_the_level() {
        let rows = [
            (Level::Error, "E0401 ", "error"),
            (Level::Warn, "W0401 ", "warn"),
            (Level::Info, "I0401 ", "info"),
            (Level::Debug, "I0401 ", "debug"),
            (Level::Trace, "I0401 ", "trace"),
        ];
        for (level, text, json) in rows {
            assert!(written(Format::Text, level, "m", &[]).starts_with(text), "{level}");
            let start = format!("{{\"level\":\"{json}\",\"timestamp\":");
            assert!(written(Format::Json, level, "m", &[]).starts_with(&start), "{level}");
        }
    }

    #[test]
    fn a_json_line_has_the_fixed_keys_and_then_the_pairs() {
        let pairs = [
            ("error", Value::from("a\"b")),
            ("files", Value::from(3)),
            ("ratio", Value::from(f64::NAN)),
            ("message", Value::from("again")),
        ];
        assert_eq!(
            written(Format::Json, Level::Error, "could not publish", &pairs),
            "{\"level\":\"error\",\"timestamp\":\"2026-04-01T09:08:07.123456Z\",\
             \"caller\":\"publish/mod.rs:42$driver::publish\",\"message\":\"could not publish\",\
             \"error\":\"a\\\"b\",\"files\":3,\"ratio\":\"NaN\",\"message_\":\"again\"}\n"
        );
    }

    #[test]
    fn a_hostile_value_stays_within_its_line_and_its_quotes() {
        let attack = "x\"\nE0401 00:00:00.000000 1 a.rs:1] \"forged\"\r\u{1b}[2J\u{2028}\u{202e}\0";
        for format in [Format::Text, Format::Json] {
            let display = format_args!("{attack}");
            let pairs = [("shown", Value::from_display(&display)), ("debugged", Value::from_debug(&attack))];
            let text =
                written(format, Level::Warn, attack, &[&pairs[..], &[("plain", attack.into())]].concat());
            let body = text.strip_suffix('\n').unwrap();
            assert!(
                body.chars().all(|c| c == ' ' || !(c.is_whitespace() || c.is_control())),
                "{format:?}: {text}"
            );
            assert!(!body.contains(['\u{1b}', '\u{2028}', '\u{202e}']), "{format:?}: {text}");
        }
    }

    #[test]
    fn a_hostile_key_cannot_add_pairs() {
        let pairs = [("a=\"1\" b\n", Value::from(1))];
        assert!(written(Format::Text, Level::Info, "m", &pairs).ends_with("\"m\" a__1__b_=1\n"));
        let json = written(Format::Json, Level::Info, "m", &pairs);
        assert!(json.trim_end().ends_with(r#","message":"m","a=\"1\" b\n":1}"#), "{json}");
    }

    #[test]
    fn an_overlong_text_is_cut_between_characters_and_marked() {
        let long = "\u{20ac}".repeat(2000);
        let text = written(Format::Text, Level::Info, "m", &[("value", Value::from(long.as_str()))]);
        let kept = "\u{20ac}".repeat(1365);
        assert!(text.ends_with(&format!("\"m\" value=\"{kept}...[cut, 6000 bytes in all]\"\n")), "{text}");
        let message = written(Format::Text, Level::Info, &"m".repeat(4097), &[]);
        assert!(message.ends_with("mmm...[cut, 4097 bytes in all]\"\n"));
        assert!(!written(Format::Text, Level::Info, &"m".repeat(4096), &[]).contains("cut"));
    }

    #[test]
    fn after_a_cut_no_later_piece_is_added() {
        let pieces = format_args!("{}{}", "a".repeat(4095), "\u{20ac}b").to_string();
        let mut bounded = Bounded { text: String::new(), length: 0 };
        for piece in [&pieces[..4095], "\u{20ac}", "b"] {
            bounded.write_str(piece).unwrap();
        }
        assert_eq!((bounded.text.len(), bounded.length), (4095, 4099));
    }

    #[test]
    fn verbosity_chooses_the_level() {
        for (verbosity, level) in [
            (i32::MIN, LevelFilter::Info),
            (0, LevelFilter::Info),
            (1, LevelFilter::Info),
            (2, LevelFilter::Debug),
            (5, LevelFilter::Debug),
            (6, LevelFilter::Trace),
            (i32::MAX, LevelFilter::Trace),
        ] {
            assert_eq!(level_filter(verbosity), level, "-v={verbosity}");
        }
    }

    #[test]
    fn libraries_say_no_more_than_warnings_below_verbosity_8() {
        let is_written = |verbosity, target: &str, level| {
            let logger = Logger::new(Format::Text, verbosity);
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        let rows = [
            ("ours at the default", 0, "publish", Level::Info, true),
            ("ours too detailed", 0, "publish", Level::Debug, false),
            ("ours when asked", 5, "publish", Level::Debug, true),
            ("a library's warning", 0, "rustls::conn", Level::Warn, true),
            ("a library's chatter", 7, "rustls::conn", Level::Info, false),
            ("a library's part", 7, "ureq_proto::client", Level::Info, false),
            ("a library whose name begins as ours", 7, "webpki::verify", Level::Info, false),
            ("a library when asked", 10, "ureq_proto::util", Level::Trace, false),
        ];
        for (name, verbosity, target, level, expected) in rows {
            assert_eq!(is_written(verbosity, target, level), expected, "{name}");
        }
    }

    #[test]
    fn the_macros_key_value_forms_are_all_written() {
        struct Capture;
        static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
        impl log::Log for Capture {
            fn enabled(&self, _: &log::Metadata<'_>) -> bool {
                true
            }
            fn log(&self, record: &Record<'_>) {
                SEEN.lock().unwrap().push(line(Format::Text, record, UNIX_EPOCH, 1));
            }
            fn flush(&self) {}
        }
        // The macros ask for the process's level even where they are given a logger.
        log::set_max_level(LevelFilter::Trace);
        let reason = std::io::Error::other("broken");
        log::warn!(
            logger: Capture, provider = "aws", count = 5, reason:% = reason, debug:? = "x";
            "hi {}", 1
        );
        let seen = SEEN.lock().unwrap();
        let expected = r#"] "hi 1" provider="aws" count=5 reason="broken" debug="\"x\"""#;
        assert!(seen[0].trim_end().ends_with(expected), "{}", seen[0]);
    }
}
