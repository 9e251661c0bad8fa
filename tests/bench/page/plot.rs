//! The part of a chart that is SVG: axes, ticks, lines and marks.
//!
//! Written here rather than by a library: the one that draws most charts in this language names colours where a page
//! for light and dark needs classes, and has no way to a point's own title.

use std::fmt::Write;

use super::escaped;
use crate::line::Line;
use crate::numbers::short;

/// x and y, in the order of x.
pub type Points = Vec<(f64, f64)>;

/// From values to places: x logarithmic, y from zero on.
pub struct Plot {
    first: f64,
    last: f64,
    /// Between two lines of the grid.
    step: f64,
    top: f64,
}

impl Plot {
    /// One that has room for all of these.
    pub fn of(points: Points) -> Plot {
        let first = points.iter().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
        let last = points.iter().map(|(x, _)| *x).fold(0.0, f64::max);
        let highest = points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
        let (first, last) = if first < last { (first, last) } else { (1.0, last.max(10.0)) };
        let step = round_step(highest / GRID_LINES);
        Plot { first, last, step, top: (highest / step).ceil().max(1.0) * step }
    }

    /// Place of an x, which is more than zero.
    pub fn x(&self, x: f64) -> f64 {
        LEFT + (x / self.first).ln() / (self.last / self.first).ln() * (WIDTH - LEFT - RIGHT)
    }

    /// Place of a y.
    pub fn y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - (y / self.top).max(0.0) * (HEIGHT - TOP - BOTTOM)
    }

    /// Points joined in their order.
    pub fn line(&self, class: &str, points: &[(f64, f64)]) -> String {
        let places = points.iter().filter(|(x, _)| *x > 0.0);
        let places: Vec<String> =
            places.map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), self.y(*y))).collect();
        if places.len() < 2 {
            return String::new();
        }
        format!("<polyline class=\"{class}\" points=\"{}\"/>\n", places.join(" "))
    }

    /// Grid, ticks, and what the axes are.
    pub fn frame(&self, unit: &str, x_name: &str) -> String {
        let (right, bottom, middle) = (WIDTH - RIGHT, HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2.0);
        let mut out = String::new();
        // Writing to a string cannot fail.
        for (value, text) in self.y_ticks() {
            let at = self.y(value);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
            );
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                LEFT - 8.0,
                at + 4.0
            );
        }
        for value in self.x_ticks() {
            let at = self.x(value);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"
            );
            let _ = writeln!(
                out,
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18.0,
                short(value)
            );
        }
        let _ = writeln!(
            out,
            "<polyline class=\"axis\" points=\"{LEFT},{TOP} {LEFT},{bottom} {right},{bottom}\"/>"
        );
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"14\" text-anchor=\"middle\">{}</text>", escaped(unit));
        let _ = writeln!(
            out,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{} (logarithmic)</text>",
            HEIGHT - 6.0,
            escaped(x_name)
        );
        out
    }

    fn y_ticks(&self) -> Vec<(f64, String)> {
        let digits = (0..6).find(|digits| self.step * 10f64.powi(*digits) > 0.999).unwrap_or(6);
        let digits = usize::try_from(digits).unwrap_or_default();
        let values = (0..=100u32).map(|number| f64::from(number) * self.step);
        let values = values.take_while(|value| *value <= self.top + self.step / 2.0);
        values.map(|value| (value, format!("{value:.digits$}"))).collect()
    }

    /// One and three of every power of ten; the ends where that is too few.
    fn x_ticks(&self) -> Vec<f64> {
        let all = (-3..10).flat_map(|power| [1.0, 3.0].map(|first| first * 10f64.powi(power)));
        let ticks: Vec<f64> =
            all.filter(|tick| (self.first * 0.999..=self.last * 1.001).contains(tick)).collect();
        if ticks.len() < 2 { vec![self.first, self.last] } else { ticks }
    }
}

/// What is straight where both axes are linear is not on this one: with points in between it looks as it is.
pub fn finely(points: &[(f64, f64)]) -> Points {
    let between = points.windows(2).flat_map(|pair| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        (0..FINENESS).map(move |part| {
            let share = f64::from(part) / f64::from(FINENESS);
            let x = if x0 > 0.0 && x1 > 0.0 { x0 * (x1 / x0).powf(share) } else { x0 + (x1 - x0) * share };
            (x, y0 + (y1 - y0) * if x0 == x1 { share } else { (x - x0) / (x1 - x0) })
        })
    });
    between.chain(points.last().copied()).collect()
}

/// The ends of the line through points; nothing where there is no such line.
pub fn line_through(points: &[(f64, f64)]) -> Points {
    let Some(line) = Line::through(points) else { return Points::new() };
    let ends = [points.first(), points.last()].into_iter().flatten();
    ends.map(|end| (end.0, line.at(end.0))).collect()
}

/// One, two or five times a power of ten, and no less than asked for.
fn round_step(least: f64) -> f64 {
    if !least.is_normal() {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|first| first * power).find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// Curves differ in shape too, for paper, and for who sees no difference in colour.
pub fn mark(number: usize, x: f64, y: f64) -> String {
    let shape = match number % 4 {
        0 => "m-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z",
        1 => "m-4 -4h8v8h-8z",
        2 => "m0 -5l5 9h-10z",
        _ => "m0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    };
    format!("<path class=\"mark\" d=\"M{x:.1} {y:.1}{shape}\"/>")
}

/// Of a chart, in units of its own.
pub const WIDTH: f64 = 720.0;
/// The other side.
pub const HEIGHT: f64 = 320.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 48.0;
const GRID_LINES: f64 = 5.0;
/// Parts of a fitted line between two of its points.
const FINENESS: u32 = 48;
