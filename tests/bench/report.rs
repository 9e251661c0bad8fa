//! The figures, beside those that the project aims at: as a table for people and as JSON for programs.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::build::Build;
use super::line::Line;
use super::load::Latencies;
use super::process::{self, Snapshot};

/// Everything that was measured.
pub struct Report {
    machine: String,
    transport: &'static str,
    file_system: String,
    program: &'static str,
    section: &'static str,
    figures: Vec<Figure>,
    latencies: Vec<Latency>,
    curves: Vec<Curve>,
}

/// One number.
struct Figure {
    section: &'static str,
    name: String,
    value: f64,
    unit: &'static str,
    aim: Option<Aim>,
}

/// How long calls of one kind took: half of them, nearly all of them, the longest.
struct Latency {
    section: &'static str,
    name: String,
    times: [Duration; 3],
    calls: usize,
}

/// A number as it grows with the number of volumes.
pub struct Curve {
    /// What it is; before a colon, of which kind.
    pub name: &'static str,
    /// The number's unit.
    pub unit: &'static str,
    /// Volumes, and the number then.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// How much each further volume adds, by the line through all points.
    pub fn slope(&self) -> f64 {
        Line::through(&self.points).map_or(f64::NAN, |line| line.slope)
    }

    /// The last value as a multiple of the first.
    pub fn growth(&self) -> f64 {
        let value = |point: Option<&(f64, f64)>| point.map_or(f64::NAN, |point| point.1);
        value(self.points.last()) / value(self.points.first())
    }
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
            machine: process::machine(),
            transport: if plain_http { "plain HTTP without a token" } else { "TLS and a token" },
            file_system: process::file_system_of(&tempfile::env::temp_dir()),
            program: build.name(),
            section: "",
            figures: Vec::new(),
            latencies: Vec::new(),
            curves: Vec::new(),
        }
    }

    /// What is added from here on belongs together.
    pub fn section(&mut self, name: &'static str) {
        self.section = name;
    }

    /// Adds a curve.
    pub fn curve(&mut self, curve: Curve) {
        self.curves.push(curve);
    }

    /// Adds a number.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str, aim: Option<Aim>) {
        self.figures.push(Figure { section: self.section, name: name.into(), value, unit, aim });
    }

    /// Adds how long calls of one kind took.
    pub fn latency(&mut self, name: impl Into<String>, times: &Latencies) {
        let (section, name) = (self.section, name.into());
        let shown = [50, 99, 100].map(|percent| times.percentile(percent));
        self.latencies.push(Latency { section, name, times: shown, calls: times.count() });
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
            "\n{} {}\nAPI server double over {}; kubelet's directory on {}; two files of 1 KiB a volume if nothing else is said\n\n",
            self.machine, self.program, self.transport, self.file_system
        );
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:<WIDTH$} {:>12} {:>16}\n{LINE}", "", "measured", "aim");
        let mut section = "";
        for figure in &self.figures {
            headline(&mut out, &mut section, figure.section);
            let measured = format!("{} {}", shown(figure.value), figure.unit);
            let verdict = figure.verdict().unwrap_or_default();
            let line = format!("{:<WIDTH$} {measured:>12} {verdict}", figure.name);
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let name = "latency in milliseconds";
        let _ =
            writeln!(out, "\n{name:<WIDTH$} {:>8} {:>8} {:>8} {:>8}\n{LINE}", "p50", "p99", "max", "calls");
        section = "";
        for Latency { section: own, name, times, calls } in &self.latencies {
            headline(&mut out, &mut section, own);
            let [p50, p99, max] = times.map(millis);
            let _ = writeln!(out, "{name:<WIDTH$} {p50:>8.2} {p99:>8.2} {max:>8.2} {calls:>8}");
        }
        if let Some(first) = self.curves.first() {
            let _ = write!(out, "\n{:<WIDTH$}", "growth with the number of volumes");
            for (volumes, _) in &first.points {
                let _ = write!(out, " {volumes:>8}");
            }
            let _ = writeln!(out, "\n{LINE}");
        }
        for Curve { name, unit, points } in &self.curves {
            let _ = write!(out, "{:<WIDTH$}", format!("{name}, {unit}"));
            for (_, value) in points {
                let _ = write!(out, " {:>8}", shown(*value));
            }
            let _ = writeln!(out);
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
        let latencies = self.latencies.iter().map(|Latency { name, times, calls, .. }| {
            let [p50, p99, max] = times.map(millis);
            let row = json!({"p50": p50, "p99": p99, "max": max, "unit": "ms", "calls": calls});
            (name.trim_start().to_owned(), row)
        });
        let curves = self.curves.iter().map(|Curve { name, unit, points }| {
            let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
            ((*name).to_owned(), json!({"unit": unit, "xName": "volumes", "x": x, "y": y}))
        });
        let whole = json!({
            "machine": self.machine,
            "program": self.program,
            "transport": self.transport,
            "fileSystem": self.file_system,
            "figures": figures.collect::<Map<_, _>>(),
            "latencies": latencies.collect::<Map<_, _>>(),
            "curves": curves.collect::<Map<_, _>>(),
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

/// Begins another section where it is another.
fn headline(out: &mut String, current: &mut &'static str, section: &'static str) {
    if *current != section {
        *current = section;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "-- {section}");
    }
}

/// Columns of a name.
const WIDTH: usize = 58;
const LINE: &str =
    "------------------------------------------------------------------------------------------------";

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

/// Kibibytes as mebibytes.
pub fn mebibytes(kibibytes: u64) -> f64 {
    number(kibibytes) / 1024.0
}
