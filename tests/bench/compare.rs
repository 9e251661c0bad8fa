//! Two sides of results, each of one run of the benchmark or of several: what is how many times the other, and what of
//! it the machine's own noise cannot explain.
//!
//! `bench --compare A.json[,A2.json...] B.json[,B2.json...]`. Nothing passes or fails here either: whoever compares
//! decides what a difference is worth. A side's value is the median of its runs. A difference is marked when the two
//! sides' runs do not overlap, every one of B's beyond every one of A's; a single run has no spread that could say so.
//! What the driver has no part in is a check of the machine: when that is marked, the machine has changed, and all of a
//! run's rows with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;

use serde_json::Value;

use crate::numbers::short;

/// Compares: the flag, then the files of either side, with commas between them.
pub const FLAG: &str = "--compare";

/// Reads both sides and writes the table.
pub fn run(a: &str, b: &str) -> ExitCode {
    match read(a).and_then(|a| Ok((a, read(b)?))) {
        Ok((a, b)) => {
            print!("{}", table(&a, &b));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(files: &str) -> Result<Vec<Value>, String> {
    let results = files.split(',').map(|file| {
        let text = std::fs::read(file).map_err(|error| format!("could not read {file}: {error}"))?;
        let results: Value =
            serde_json::from_slice(&text).map_err(|error| format!("{file} is no JSON: {error}"))?;
        let has_results = results["figures"].is_object() && results["latencies"].is_object();
        if has_results { Ok(results) } else { Err(format!("{file} holds no results of the benchmark")) }
    });
    results.collect()
}

/// The comparison of the runs of two sides.
pub fn table(a: &[Value], b: &[Value]) -> String {
    let (rows_a, rows_b) = (rows(a), rows(b));
    let names: BTreeSet<&Name> = rows_a.keys().chain(rows_b.keys()).collect();
    let width = names.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0);
    let alarm = alarm(a, b);
    // Writing to a string cannot fail.
    let mut out = about(a, b) + &alarm + "\n";
    let _ = writeln!(
        out,
        "{:<width$} {:<4} {:>9} {:>17} {:>9} {:>17} {:>7}\n{}",
        "",
        "",
        "A",
        "spread",
        "B",
        "spread",
        "B/A",
        "-".repeat(width + 80)
    );
    let (mut marked, mut moved) = (0usize, String::new());
    let (mut only_a, mut only_b) = (String::new(), String::new());
    for name in names {
        match (rows_a.get(name), rows_b.get(name)) {
            (Some(a), Some(b)) => {
                let mark = mark(a, b);
                marked += usize::from(!mark.is_empty());
                if !mark.is_empty() && WITHOUT_THE_DRIVER.iter().any(|part| name.1.contains(part)) {
                    let _ = writeln!(moved, "  {}", name.1);
                }
                let line = format!("{:<width$} {}", name.1, columns(a, b));
                let _ = writeln!(out, "{}", format!("{line}  {mark}").trim_end());
            }
            (Some(a), None) => only_a += &alone(&name.1, "A", a),
            (None, Some(b)) => only_b += &alone(&name.1, "B", b),
            (None, None) => {}
        }
    }
    if !(only_a.is_empty() && only_b.is_empty()) {
        let _ = write!(out, "\nNot compared, since one side alone has them:\n{only_a}{only_b}");
    }
    out += "\n";
    out += &closing(marked, a.len(), b.len());
    if !moved.is_empty() {
        let _ = write!(
            out,
            "\nTHE MACHINE HAS CHANGED: the driver has no part in these, and yet they are marked:\n{moved}"
        );
    }
    out + &alarm
}

/// Where a row stands: figures first, then latencies, each by name.
type Name = (Kind, String);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Figure,
    Latency,
}

/// One number as all runs of a side have it.
struct Row {
    unit: String,
    wanted: Wanted,
    values: Vec<f64>,
}

/// Which of two values is the better one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Lower,
    Higher,
    /// Nobody said.
    Unknown,
}

fn rows(runs: &[Value]) -> BTreeMap<Name, Row> {
    let mut rows: BTreeMap<Name, Row> = BTreeMap::new();
    let mut add = |name: Name, value: &Value, unit: &Value, wanted: Wanted| {
        let Some(value) = value.as_f64() else { return };
        let unit = unit.as_str().unwrap_or_default();
        let row = rows.entry(name).or_insert_with(|| Row {
            unit: unit.to_owned(),
            wanted: if wanted == Wanted::Unknown && COSTS.contains(&unit) { Wanted::Lower } else { wanted },
            values: Vec::new(),
        });
        row.values.push(value);
    };
    for run in runs {
        for (name, figure) in run["figures"].as_object().into_iter().flatten() {
            let wanted = match (figure.get("atMost"), figure.get("atLeast")) {
                (Some(_), _) => Wanted::Lower,
                (_, Some(_)) => Wanted::Higher,
                _ => Wanted::Unknown,
            };
            add((Kind::Figure, name.clone()), &figure["value"], &figure["unit"], wanted);
        }
        for (name, latency) in run["latencies"].as_object().into_iter().flatten() {
            for percentile in ["p50", "p99"] {
                let name = (Kind::Latency, format!("{name}, {percentile}"));
                add(name, &latency[percentile], &latency["unit"], Wanted::Lower);
            }
        }
    }
    for row in rows.values_mut() {
        row.values.sort_by(f64::total_cmp);
    }
    rows
}

impl Row {
    fn median(&self) -> f64 {
        let middle = self.values.len() / 2;
        if self.values.len() % 2 == 1 {
            self.values[middle]
        } else {
            f64::midpoint(self.values[middle - 1], self.values[middle])
        }
    }

    fn least(&self) -> f64 {
        self.values[0]
    }

    fn most(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    /// Nothing for one run.
    fn spread(&self) -> String {
        match (self.least(), self.most()) {
            _ if self.values.len() < 2 => String::new(),
            (least, most) if least == most => "none".to_owned(),
            (least, most) => format!("{}..{}", short(least), short(most)),
        }
    }
}

fn columns(a: &Row, b: &Row) -> String {
    let ratio = match (a.median(), b.median()) {
        _ if a.unit != b.unit => format!("{} against {}", b.unit, a.unit),
        (one, other) if one == other => "1.00".to_owned(),
        (0.0, _) => "-".to_owned(),
        (one, other) => format!("{:.2}", other / one),
    };
    format!(
        "{:<4} {:>9} {:>17} {:>9} {:>17} {ratio:>7}",
        a.unit,
        short(a.median()),
        a.spread(),
        short(b.median()),
        b.spread()
    )
}

/// What is said of a difference that noise does not explain.
fn mark(a: &Row, b: &Row) -> &'static str {
    let is_too_small_to_show = (b.median() / a.median() - 1.0).abs() < 0.005;
    if a.values.len() < 2 || b.values.len() < 2 || a.unit != b.unit || is_too_small_to_show {
        return "";
    }
    let (is_lower, is_higher) = (b.most() < a.least(), b.least() > a.most());
    match (a.wanted, is_lower, is_higher) {
        (_, false, false) => "",
        (Wanted::Unknown, ..) => "DIFFERS",
        (Wanted::Lower, true, _) | (Wanted::Higher, _, true) => "BETTER",
        _ => "WORSE",
    }
}

fn alone(name: &str, side: &str, row: &Row) -> String {
    format!("  {side} alone: {name}: {}\n", crate::numbers::with_unit(row.median(), &row.unit))
}

/// How much of what was measured, and where; that once, when it was the same for all.
fn about(a: &[Value], b: &[Value]) -> String {
    let side = |name: &str, runs: &[Value]| {
        let programs: Vec<String> = texts(runs, &["program"]).into_iter().collect();
        let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", runs.len()) };
        let of = if programs.is_empty() { "" } else { " of the " };
        format!("{name}: {count}{of}{}\n", programs.join(" and of the "))
    };
    let place =
        |runs: &[Value]| texts(runs, MACHINE).iter().map(|text| format!("   {text}\n")).collect::<String>();
    let (place_a, place_b) = (place(a), place(b));
    let between = if place_a == place_b { "" } else { &place_a };
    format!("\n{}{between}{}{place_b}", side("A", a), side("B", b))
}

/// What the runs say of themselves under these keys, each text once.
fn texts(runs: &[Value], keys: &[&str]) -> BTreeSet<String> {
    let text = |run: &Value| {
        let texts: Vec<&str> = keys.iter().filter_map(|key| run[*key].as_str()).collect();
        texts.join("; ")
    };
    runs.iter().map(text).filter(|text| !text.is_empty()).collect()
}

/// Nothing when all runs were made alike.
fn alarm(a: &[Value], b: &[Value]) -> String {
    let all: BTreeSet<String> = texts(a, MACHINE).into_iter().chain(texts(b, MACHINE)).collect();
    if all.len() < 2 {
        return String::new();
    }
    let line = "!".repeat(100);
    let what =
        "!! NOT MEASURED ON THE SAME MACHINE IN THE SAME WAY: the ratios compare machines, not programs";
    format!("\n{line}\n{what}\n{line}\n")
}

fn closing(marked: usize, a: usize, b: usize) -> String {
    if a < 2 || b < 2 {
        return "Nothing is marked: a side of one run has no spread, so anything here may be noise.\n"
            .to_owned();
    }
    // Of all the orders in which the runs of two equal programs may come out, two have them apart.
    let orders = (1..=a).map(|k| ratio_of(b + k, k)).product::<f64>();
    format!(
        "{marked} marked, where the two sides' runs do not overlap. Equal programs have a row marked by chance in one \
         of {} comparisons,\nand the rows of a run rise and fall together: what matters should show up again, or with \
         more runs.\n",
        short((orders / 2.0).round())
    )
}

fn ratio_of(one: usize, other: usize) -> f64 {
    let number = |count: usize| u32::try_from(count).map_or(f64::INFINITY, f64::from);
    number(one) / number(other)
}

/// What has to be the same for a comparison to mean something.
const MACHINE: &[&str] = &["machine", "transport", "fileSystem"];
/// In the names of what the driver has no part in.
const WITHOUT_THE_DRIVER: &[&str] = &["the provider alone"];
/// Units of what nobody wants more of.
const COSTS: &[&str] = &["ms", "us", "s", "KiB", "MiB"];
