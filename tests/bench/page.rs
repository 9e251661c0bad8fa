//! The results of one run as a page for a browser: one file, which needs nothing else and runs nothing.
//!
//! It is made from what `--json` writes, so a page can be had of any run whose results were kept:
//! `bench --page FILE > page.html`. The tables have the order of the names. It trusts nothing that the results say:
//! every text of theirs is escaped, and the page forbids itself scripts and whatever would have to be fetched.

mod chart;
mod plot;

use std::process::ExitCode;

use serde_json::Value;

use crate::numbers::{short, with_unit};
use chart::Chart;

/// Writes the page of a file of results to standard output.
pub const FLAG: &str = "--page";

/// Reads the file and writes its page.
pub fn run(file: &str) -> ExitCode {
    let text = std::fs::read(file).map_err(|error| error.to_string());
    match text.and_then(|text| serde_json::from_slice(&text).map_err(|error| error.to_string())) {
        Ok(results) => {
            print!("{}", html(&results));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("could not read the results in {file}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The page of one run's results.
pub fn html(results: &Value) -> String {
    let charts: String = Chart::all(results).iter().map(Chart::html).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{TITLE}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{TITLE}</h1>\n{}{}{}{}</main>\n</body>\n</html>\n",
        conditions(results),
        section("Figures", &figures(&results["figures"])),
        section("Latencies", &latencies(&results["latencies"])),
        section("Curves", &charts),
    )
}

/// What was measured, and on what.
fn conditions(results: &Value) -> String {
    let known = CONDITIONS.iter().filter_map(|(key, name)| Some((name, results[*key].as_str()?)));
    let rows: String =
        known.map(|(name, text)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(text))).collect();
    format!("<dl>\n{rows}</dl>\n")
}

/// Nothing at all where there is nothing to show.
fn section(title: &str, content: &str) -> String {
    if content.is_empty() { String::new() } else { format!("<h2>{title}</h2>\n{content}") }
}

fn figures(figures: &Value) -> String {
    let rows = entries(figures).filter_map(|(name, figure)| {
        let unit = figure["unit"].as_str().unwrap_or_default();
        let value = with_unit(figure["value"].as_f64()?, unit);
        // As it was set, with its own digits.
        let limit = |key: &str, sign| Some(format!("{sign} {} {unit}", figure[key].as_f64()?));
        let aim = limit("atMost", "≤").or_else(|| limit("atLeast", "≥")).unwrap_or_default();
        let verdict = match figure["met"].as_bool() {
            Some(true) => "<td class=\"verdict met\">met</td>",
            Some(false) => "<td class=\"verdict missed\">MISSED</td>",
            None => "<td></td>",
        };
        let (value, aim) = (escaped(&value), escaped(aim.trim_end()));
        Some(format!("<tr>{}<td>{value}</td><td>{aim}</td>{verdict}</tr>\n", heading(name)))
    });
    table(&["", "measured", "aim", ""], &rows.collect::<String>())
}

fn latencies(latencies: &Value) -> String {
    let rows = entries(latencies).map(|(name, latency)| {
        let unit = latency["unit"].as_str().unwrap_or_default();
        let times = ["p50", "p99", "max"].map(|key| latency[key].as_f64().map(|time| with_unit(time, unit)));
        let calls = latency["calls"].as_f64().map(short);
        let cells = times.into_iter().chain([calls]);
        let cells = cells.map(|cell| format!("<td>{}</td>", escaped(&cell.unwrap_or_default())));
        format!("<tr>{}{}</tr>\n", heading(name), cells.collect::<String>())
    });
    table(&["", "p50", "p99", "max", "calls"], &rows.collect::<String>())
}

fn table(columns: &[&str], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let head: String =
        columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", escaped(column))).collect();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn heading(name: &str) -> String {
    format!("<th scope=\"row\">{}</th>", escaped(name))
}

/// By name; none where there is no object.
fn entries(object: &Value) -> impl Iterator<Item = (&str, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A text as it stands in an element, or in an attribute in quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

const TITLE: &str = "What the driver costs";
const STYLE: &str = include_str!("page/style.css");
/// Keys of the results, and what they are called here.
const CONDITIONS: [(&str, &str); 4] = [
    ("machine", "machine"),
    ("program", "measured"),
    ("transport", "API server double over"),
    ("fileSystem", "kubelet's directory on"),
];
