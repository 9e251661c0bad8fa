//! The table of docs/performance.md: its rows are the benchmark's, and what it says of each aim follows from the
//! number beside it.

use super::transcript;
use documents::markdown::Document;
use documents::output;

/// The part of a document that the benchmark printed.
fn table(document: &Document) -> String {
    let block = document.blocks().into_iter().find(|block| block.text.contains("measured  "));
    block.unwrap_or_else(|| panic!("{} has no table", document.name)).text
}

/// Rows with a verdict that does not follow.
fn wrong_verdicts(table: &str) -> Vec<String> {
    let rows = table.lines().filter(|line| line.ends_with(" met") || line.ends_with(" MISSED"));
    rows.filter(|row| follows(row).is_none_or(|follows| !follows))
        .map(|row| format!("not so: {row}"))
        .collect()
}

/// Whether a row's verdict follows from its numbers; none where it has no numbers.
fn follows(row: &str) -> Option<bool> {
    let (sign, (left, right)) = ["<=", ">="].iter().find_map(|sign| Some((*sign, row.split_once(sign)?)))?;
    let measured = left.split_whitespace().rev().find_map(|word| word.parse::<f64>().ok())?;
    let aim = right.split_whitespace().next()?.parse::<f64>().ok()?;
    let is_met = if sign == "<=" { measured <= aim } else { measured >= aim };
    Some(is_met == row.ends_with(" met"))
}

/// Rows of figures that the benchmark does not make.
fn foreign_rows(table: &str) -> Vec<String> {
    let said = transcript::sentences("tests/bench", FEWEST_LETTERS);
    let figures = table.lines().skip_while(|line| !line.starts_with("----"));
    let figures = figures.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("--"));
    let names = figures.filter_map(|line| line.split("  ").next());
    let is_foreign = |name: &&str| !said.iter().any(|text| output::compare(text, name).is_ok());
    names.filter(is_foreign).map(|name| format!("the benchmark has no row {name:?}")).collect()
}

#[test]
fn the_table_of_the_benchmark_says_of_each_aim_what_its_number_says() {
    let table = table(&Document::read("docs/performance.md"));
    assert!(table.lines().filter(|line| follows(line).is_some()).count() > 20, "{table}");
    let complaints = wrong_verdicts(&table);
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_rows_of_the_table_are_those_of_the_benchmark() {
    let complaints = foreign_rows(&table(&Document::read("docs/performance.md")));
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_number_that_was_changed_and_a_row_that_is_made_up_are_found() {
    let good = table(&Document::read("docs/performance.md"));
    let rows = [
        ("6.50 ms         <= 50 ms", "65.0 ms         <= 50 ms"),
        ("2.16 ms          <= 2 ms", "1.99 ms          <= 2 ms"),
        ("964          >= 2000", "2000         >= 2000"),
        ("110           >= 110    met", "110           >= 110    MISSED"),
    ];
    for (row, broken) in rows {
        assert_eq!(good.matches(row).count(), 1, "{row}");
        assert_eq!(wrong_verdicts(&good.replace(row, broken)).len(), 1, "{broken}");
    }
    let broken = good.replace("start to ready, median of 20 ", "start to running, median of 20 ");
    assert_eq!(foreign_rows(&broken).len(), 1);
}

/// Of a row's name: "threads" is the shortest.
const FEWEST_LETTERS: usize = 7;
