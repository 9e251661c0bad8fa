//! Curves as charts: how something grows with the number of volumes.
//!
//! Curves of one unit whose names agree up to ": " share a chart. Where a figure was fitted to a curve (its name begins
//! with the curve's and ends in "fitted"), the line is drawn too. What has no place on a logarithmic axis (x of zero or
//! less) is in the table below the chart alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::plot::{HEIGHT, Plot, Points, WIDTH, finely, line_through, mark};
use super::{entries, escaped, heading, table};
use crate::numbers::{short, with_unit};

/// Curves that are read together.
pub struct Chart {
    title: String,
    unit: String,
    x_name: String,
    series: BTreeMap<String, Series>,
}

/// One curve, and the line through it where one was fitted.
struct Series {
    measured: Points,
    fitted: Points,
}

impl Chart {
    /// Those of the results, by name.
    pub fn all(results: &Value) -> Vec<Chart> {
        let mut charts: BTreeMap<[String; 3], Chart> = BTreeMap::new();
        for (name, curve) in entries(&results["curves"]) {
            let (title, label) = name.split_once(": ").unwrap_or((name, name));
            let text = |key: &str| curve[key].as_str().unwrap_or_default().to_owned();
            let key = [title.to_owned(), text("unit"), text("xName")];
            let chart = charts.entry(key.clone()).or_insert_with(|| {
                let [title, unit, x_name] = key;
                Chart { title, unit, x_name, series: BTreeMap::new() }
            });
            let measured = points_of(curve);
            let is_of_this =
                |figure: &str| figure.strip_prefix(name).is_some_and(|rest| rest.starts_with(','));
            let has_line = entries(&results["figures"])
                .any(|(figure, _)| is_of_this(figure) && figure.ends_with("fitted"));
            let fitted = if has_line { line_through(&measured) } else { Points::new() };
            chart.series.insert(label.to_owned(), Series { measured, fitted });
        }
        charts.into_values().collect()
    }

    /// The chart, what its marks mean, and its values as a table, which is what paper shows of them.
    pub fn html(&self) -> String {
        let points = || self.series.values().flat_map(|series| series.measured.iter().chain(&series.fitted));
        let plot = Plot::of(points().copied().filter(|(x, _)| *x > 0.0).collect());
        let curves: String = self
            .series
            .values()
            .enumerate()
            .map(|(number, series)| self.curve(number, series, &plot))
            .collect();
        let svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{}{curves}</svg>\n",
            escaped(&self.title),
            plot.frame(&self.unit, &self.x_name)
        );
        format!(
            "<figure>\n<figcaption><h3>{}</h3></figcaption>\n{}{svg}{}</figure>\n",
            escaped(&self.title),
            self.legend(),
            self.values()
        )
    }

    fn curve(&self, number: usize, series: &Series, plot: &Plot) -> String {
        let mut out = format!("<g class=\"s{}\">\n", number % COLOURS);
        out.push_str(&plot.line("fitted", &finely(&series.fitted)));
        out.push_str(&plot.line("curve", &series.measured));
        for (x, y) in series.measured.iter().filter(|(x, _)| *x > 0.0) {
            let title = format!("{} {}: {}", short(*x), self.x_name, with_unit(*y, &self.unit));
            let (at_x, at_y) = (plot.x(*x), plot.y(*y));
            // Writing to a string cannot fail. The circle is what a pointer can hit.
            let _ = writeln!(
                out,
                "<g><title>{}</title><circle class=\"reach\" cx=\"{at_x:.1}\" cy=\"{at_y:.1}\" r=\"10\"/>{}</g>",
                escaped(&title),
                mark(number, at_x, at_y)
            );
        }
        out + "</g>\n"
    }

    /// Nothing where there is one curve of the chart's own name.
    fn legend(&self) -> String {
        let has_lines = self.series.values().any(|series| !series.fitted.is_empty());
        if self.series.len() == 1 && !has_lines && self.series.contains_key(&self.title) {
            return String::new();
        }
        let rows = self.series.iter().enumerate().map(|(number, (name, series))| {
            let note = if series.fitted.is_empty() { "" } else { " (dashed: fitted)" };
            format!(
                "<li class=\"s{}\"><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\">{}</svg>\
                 <span>{}{note}</span></li>\n",
                number % COLOURS,
                mark(number, 8.0, 8.0),
                escaped(name)
            )
        });
        format!("<ul class=\"legend\">\n{}</ul>\n", rows.collect::<String>())
    }

    fn values(&self) -> String {
        let mut places: Vec<f64> =
            self.series.values().flat_map(|series| series.measured.iter().map(|(x, _)| *x)).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let rows = places.iter().map(|place| {
            let cells = self.series.values().map(|series| {
                let here = series.measured.iter().find(|(x, _)| x == place);
                let value = here.map(|(_, y)| with_unit(*y, &self.unit)).unwrap_or_default();
                format!("<td>{}</td>", escaped(&value))
            });
            format!("<tr>{}{}</tr>\n", heading(&short(*place)), cells.collect::<String>())
        });
        let columns: Vec<&str> =
            [self.x_name.as_str()].into_iter().chain(self.series.keys().map(String::as_str)).collect();
        table(&columns, &rows.collect::<String>())
    }
}

fn points_of(curve: &Value) -> Points {
    let numbers = |key: &str| curve[key].as_array().into_iter().flatten().filter_map(Value::as_f64);
    numbers("x").zip(numbers("y")).collect()
}

/// As many as the style has.
const COLOURS: usize = 6;
