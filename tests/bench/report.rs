//! The figures, beside those that the project aims at: as a table for people and as JSON for programs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::build::Build;
use super::load::Latencies;
use super::process::{self, Snapshot};

/// Everything that was measured.
pub struct Report {
    machine: String,
    transport: &'static str,
    file_system: String,
    figures: Vec<Figure>,
    latencies: Vec<(String, [Duration; 3], usize)>,
}

/// One number.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    aim: Option<Aim>,
}

/// What the project wants of a number.
#[derive(Clone, Copy)]
pub enum Aim {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Report {
    /// Nothing is measured yet.
    pub fn new(plain_http: bool, build: Build) -> Report {
        Report {
            machine: process::machine(build),
            transport: if plain_http { "plain HTTP without a token" } else { "TLS and a token" },
            file_system: process::file_system_of(&tempfile::env::temp_dir()),
            figures: Vec::new(),
            latencies: Vec::new(),
        }
    }

    /// Adds a number.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str, aim: Option<Aim>) {
        self.figures.push(Figure { name: name.into(), value, unit, aim });
    }

    /// Adds how long calls of one kind took.
    pub fn latency(&mut self, name: impl Into<String>, times: &Latencies) {
        let shown = [50, 99, 100].map(|percent| times.percentile(percent));
        self.latencies.push((name.into(), shown, times.count()));
    }

    /// Adds what the driver holds.
    pub fn snapshot(&mut self, when: &str, seen: Snapshot, aim: Option<Aim>) {
        self.figure(format!("resident, {when}"), mebibytes(seen.resident), "MiB", aim);
        self.figure(format!("of it anonymous, {when}"), mebibytes(seen.anonymous), "MiB", None);
        self.figure(format!("most ever resident, {when}"), mebibytes(seen.peak), "MiB", None);
        self.figure(format!("threads, {when}"), number(seen.threads), "", None);
        self.figure(format!("open files, {when}"), number(seen.files), "", None);
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = format!(
            "\n{}\nAPI server double over {}; kubelet's directory on {}; two files of 1 KiB a volume\n\n",
            self.machine, self.transport, self.file_system
        );
        let line = "-".repeat(88);
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:<50} {:>12} {:>16}\n{line}", "", "measured", "aim");
        for figure in &self.figures {
            let measured = format!("{} {}", shown(figure.value), figure.unit);
            let _ =
                writeln!(out, "{:<50} {measured:>12} {}", figure.name, figure.verdict().unwrap_or_default());
        }
        let _ = writeln!(
            out,
            "\n{:<50} {:>8} {:>8} {:>8} {:>8}\n{line}",
            "latency in milliseconds", "p50", "p99", "max", "calls"
        );
        for (name, [p50, p99, max], calls) in &self.latencies {
            let _ = writeln!(
                out,
                "{name:<50} {:>8.2} {:>8.2} {:>8.2} {calls:>8}",
                millis(*p50),
                millis(*p99),
                millis(*max)
            );
        }
        out
    }

    /// For programs.
    pub fn json(&self) -> String {
        let figures = self.figures.iter().map(|figure| {
            let mut row = Map::new();
            row.insert("value".into(), json!(figure.value));
            row.insert("unit".into(), json!(figure.unit));
            if let Some(aim) = figure.aim {
                let (key, limit) = match aim {
                    Aim::AtMost(limit) => ("atMost", limit),
                    Aim::AtLeast(limit) => ("atLeast", limit),
                };
                row.insert(key.into(), json!(limit));
                row.insert("met".into(), json!(figure.is_met(aim)));
            }
            (figure.name.clone(), Value::Object(row))
        });
        let latencies = self.latencies.iter().map(|(name, [p50, p99, max], calls)| {
            let row = json!({
                "p50": millis(*p50),
                "p99": millis(*p99),
                "max": millis(*max),
                "unit": "ms",
                "calls": calls,
            });
            (name.clone(), row)
        });
        let whole = json!({
            "machine": self.machine,
            "transport": self.transport,
            "fileSystem": self.file_system,
            "figures": figures.collect::<Map<_, _>>(),
            "latencies": latencies.collect::<Map<_, _>>(),
        });
        format!("{whole:#}\n")
    }
}

impl Figure {
    fn is_met(&self, aim: Aim) -> bool {
        match aim {
            Aim::AtMost(limit) => self.value <= limit,
            Aim::AtLeast(limit) => self.value >= limit,
        }
    }

    fn verdict(&self) -> Option<String> {
        let aim = self.aim?;
        let (word, limit) = match aim {
            Aim::AtMost(limit) => ("<=", limit),
            Aim::AtLeast(limit) => (">=", limit),
        };
        let verdict = if self.is_met(aim) { "met" } else { "MISSED" };
        let aim = format!("{word} {} {}", shown(limit), self.unit);
        Some(format!("{aim:>16}   {verdict}"))
    }
}

/// As many digits as mean something.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A duration as a number of milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A count as a number. Counts here are far below 2^32.
pub fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn mebibytes(kibibytes: u64) -> f64 {
    number(kibibytes) / 1024.0
}
