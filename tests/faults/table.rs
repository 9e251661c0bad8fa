//! The outcome as a table for people.

use std::time::Duration;

use crate::sheet::Sheet;

/// One case that was played.
pub struct Played {
    /// Its name.
    pub name: &'static str,
    /// What it showed, or why it failed.
    pub outcome: Result<Sheet, String>,
    /// How long it took.
    pub took: Duration,
}

/// The whole table.
pub fn render(played: &[Played]) -> String {
    let line = format!("{}\n", "-".repeat(WIDTHS.iter().sum::<usize>() + 3 * (WIDTHS.len() - 1)));
    let mut out = row([
        &["fault".into()],
        &["what the pod sees".into()],
        &["which series rose".into()],
        &["what is left".into()],
    ]);
    for Played { name, outcome, took } in played {
        out.push_str(&line);
        match outcome {
            Ok(Sheet { pod, metrics, left }) => {
                let none = ["none".to_owned()];
                let metrics = if metrics.is_empty() { &none[..] } else { metrics };
                let named = [(*name).to_owned(), format!("{:.1} s", took.as_secs_f64())];
                out.push_str(&row([&named, pod, metrics, left]));
            }
            Err(why) => out.push_str(&format!("{name}\n    FAILED: {why}\n")),
        }
    }
    out + &line
}

/// Cells side by side, each as many lines as it needs.
fn row(cells: [&[String]; COLUMNS]) -> String {
    let mut cells = cells.into_iter().zip(WIDTHS);
    let wrapped: [Vec<String>; COLUMNS] = std::array::from_fn(|_| {
        cells
            .next()
            .map(|(cell, width)| cell.iter().flat_map(|text| wrap(text, width)).collect())
            .unwrap_or_default()
    });
    let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
    let mut out = String::new();
    for line in 0..height {
        let parts: Vec<String> = wrapped
            .iter()
            .zip(WIDTHS)
            .map(|(cell, width)| format!("{:<width$}", cell.get(line).map_or("", String::as_str)))
            .collect();
        out.push_str(parts.join(" | ").trim_end());
        out.push('\n');
    }
    out
}

/// Lines of at most `width` characters, broken at spaces and, in long names, after commas and braces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in text.split_inclusive([' ', ',', '{', '_']) {
        let mut last = lines.pop().unwrap_or_default();
        if !last.is_empty() && last.chars().count() + piece.trim_end().chars().count() > width {
            lines.push(last.trim_end().to_owned());
            last = "  ".to_owned();
        }
        last.push_str(piece);
        lines.push(last);
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

const COLUMNS: usize = 4;
const WIDTHS: [usize; COLUMNS] = [30, 54, 58, 30];
