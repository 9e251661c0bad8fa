//! What the benchmark makes of its results, the page and the comparison, from results that are made up here.

use super::{compare, page};

use serde_json::{Value, json};

fn results(start: f64, machine: &str) -> Value {
    json!({
        "machine": machine, "transport": "TLS", "fileSystem": "tmpfs", "program": "static build",
        "figures": {
            "start": {"value": start, "unit": "ms", "atMost": 50.5, "met": start <= 50.5},
            "pairs": {"value": 1000.0 / start, "unit": "", "atLeast": 100.0, "met": true},
            "threads": {"value": 18, "unit": ""},
        },
        "latencies": {"publish": {"p50": 1.25, "p99": 2.5, "max": 8.0, "unit": "ms", "calls": 2733}},
    })
}

fn curve(y: [f64; 3]) -> Value {
    json!({"unit": "MiB", "xName": "volumes", "x": [10, 300, 3000], "y": y})
}

/// The only line that begins with a name.
fn line<'a>(table: &'a str, name: &str) -> &'a str {
    let mut lines = table.lines().filter(|line| line.starts_with(name));
    match (lines.next(), lines.next()) {
        (Some(line), None) => line,
        other => panic!("{name}: {other:?} in:\n{table}"),
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

mod numbers_are_short {
    use crate::numbers::{short, with_unit};

    #[test]
    fn and_keep_what_means_something() {
        let rows = [
            (0.0, "0"),
            (3.0, "3"),
            (1131.4, "1131"),
            (14.02, "14.0"),
            (4.754, "4.75"),
            (0.372, "0.372"),
            (0.00412, "0.0041"),
            (-2.5, "-2.50"),
        ];
        for (value, text) in rows {
            assert_eq!(short(value), text);
        }
        assert_eq!([with_unit(2.0, "ms"), with_unit(2.0, "")], ["2 ms", "2"]);
    }
}

mod the_comparison {
    use super::*;

    fn sides(a: &[f64], b: &[f64]) -> String {
        let runs = |starts: &[f64]| starts.iter().map(|start| results(*start, "here")).collect::<Vec<_>>();
        compare::table(&runs(a), &runs(b))
    }

    #[test]
    fn shows_medians_spreads_and_ratios() {
        let table = sides(&[4.0, 5.0, 6.0], &[8.0, 5.5, 7.5]);
        assert_eq!(words(line(&table, "start ")), ["start", "ms", "5", "4..6", "7.50", "5.50..8", "1.50"]);
        let publish = ["publish,", "p50", "ms", "1.25", "none", "1.25", "none", "1.00"];
        assert_eq!(words(line(&table, "publish, p50")), publish);
        line(&table, "publish, p99");
        assert!(
            table.contains(
                "A: 3 runs of the static build\nB: 3 runs of the static build\n   here; TLS; tmpfs\n"
            ),
            "{table}"
        );
        let even = sides(&[4.0, 6.0], &[8.0, 9.0]);
        assert_eq!(words(line(&even, "start "))[2..=5], ["5", "4..6", "8.50", "8..9"]);
    }

    #[test]
    fn marks_what_does_not_overlap_as_better_or_worse() {
        let slower = sides(&[4.0, 5.0, 6.0], &[7.0, 8.0, 9.0]);
        assert!(line(&slower, "start ").ends_with("1.60  WORSE"), "{slower}");
        assert!(line(&slower, "pairs ").ends_with("WORSE"), "{slower}");
        assert!(slower.contains("\n2 marked"), "{slower}");
        assert!(slower.contains("in one of 10 comparisons"), "{slower}");
        let faster = sides(&[7.0, 8.0, 9.0], &[4.0, 5.0, 6.0]);
        assert!(line(&faster, "start ").ends_with("BETTER"), "{faster}");
        let overlapping = sides(&[4.0, 5.0, 7.5], &[7.0, 8.0, 9.0]);
        assert!(line(&overlapping, "start ").ends_with("1.60"), "{overlapping}");
        let hardly = sides(&[4.0, 4.001, 4.002], &[4.01, 4.011, 4.012]);
        assert!(line(&hardly, "start ").ends_with("1.00"), "{hardly}");
        let mut other = results(4.0, "here");
        other["figures"]["threads"]["value"] = json!(19);
        let threads = compare::table(&[results(4.0, "here"), results(4.0, "here")], &[other.clone(), other]);
        assert!(line(&threads, "threads ").ends_with("DIFFERS"), "{threads}");
    }

    #[test]
    fn marks_nothing_that_was_measured_once() {
        let table = sides(&[4.0], &[7.0, 8.0, 9.0]);
        assert_eq!(words(line(&table, "start ")), ["start", "ms", "4", "8", "7..9", "2.00"]);
        assert!(table.contains("Nothing is marked"), "{table}");
    }

    #[test]
    fn says_what_one_side_alone_has_and_what_has_other_units() {
        let (mut a, b) = (results(4.0, "here"), results(4.0, "here"));
        a["figures"]["news"] = json!({"value": 3, "unit": "us"});
        a["figures"]["threads"]["unit"] = json!("dozens");
        let table = compare::table(&[a], &[b]);
        assert!(table.contains("\n  A alone: news: 3 us\n"), "{table}");
        assert!(line(&table, "threads ").ends_with(" against dozens"), "{table}");
    }

    #[test]
    fn says_loudly_that_the_machines_differ() {
        let table = compare::table(&[results(4.0, "here")], &[results(4.0, "there")]);
        assert_eq!(table.matches("!! NOT MEASURED ON THE SAME MACHINE").count(), 2, "{table}");
        assert!(
            table.contains("   here; TLS; tmpfs\nB: 1 run of the static build\n   there; TLS"),
            "{table}"
        );
        assert!(!sides(&[4.0], &[4.0]).contains("!!"));
    }

    #[test]
    fn says_that_the_machine_has_changed_when_the_provider_alone_has() {
        let of = |time: f64| {
            let latency = json!({"p50": time, "p99": 9.0, "max": 9.0, "unit": "ms", "calls": 1});
            json!({"figures": {}, "latencies": {"the provider alone, 1 caller": latency}})
        };
        let table = compare::table(&[of(1.0), of(2.0)], &[of(3.0), of(4.0)]);
        assert!(table.contains("THE MACHINE HAS CHANGED"), "{table}");
        assert!(table.ends_with(":\n  the provider alone, 1 caller, p50\n"), "{table}");
        let same = compare::table(&[of(1.0), of(3.0)], &[of(2.0), of(4.0)]);
        assert!(!same.contains("MACHINE"), "{same}");
    }

    #[test]
    fn has_no_ratio_to_nothing() {
        let of = |value: u32| json!({"figures": {"writes": {"value": value, "unit": ""}}, "latencies": {}});
        assert!(line(&compare::table(&[of(0)], &[of(0)]), "writes ").ends_with(" 1.00"));
        assert!(line(&compare::table(&[of(0)], &[of(3)]), "writes ").ends_with(" -"));
    }
}

mod the_page {
    use super::*;

    fn with_curves(curves: Value) -> String {
        let mut results = results(60.0, "here");
        results["curves"] = curves;
        page::html(&results)
    }

    #[test]
    fn has_every_figure_and_every_latency() {
        let page = page::html(&results(60.0, "2 cores"));
        let expected = [
            "<dt>machine</dt><dd>2 cores</dd>",
            "<th scope=\"row\">start</th><td>60 ms</td><td>≤ 50.5 ms</td><td class=\"verdict missed\">MISSED</td>",
            "<th scope=\"row\">pairs</th><td>16.7</td><td>≥ 100</td><td class=\"verdict met\">met</td>",
            "<th scope=\"row\">threads</th><td>18</td><td></td><td></td>",
            "<th scope=\"row\">publish</th><td>1.25 ms</td><td>2.50 ms</td><td>8 ms</td><td>2733</td>",
        ];
        for text in expected {
            assert!(page.contains(text), "{text} is not in\n{page}");
        }
        assert!(!page.contains("Curves"));
    }

    #[test]
    fn needs_nothing_else_and_runs_nothing() {
        let page = with_curves(json!({"resident": curve([7.0, 8.0, 20.0])}));
        for text in ["<script", "http:", "https:", "src=", "href=", "url(", "@import", "onload"] {
            assert!(!page.contains(text), "{text} is in\n{page}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn escapes_every_text_of_the_results() {
        let evil = "<b a=\"1\" c='2'>&";
        let mut results = json!({
            "machine": evil, "transport": evil, "fileSystem": evil, "program": evil,
            "figures": {evil: {"value": 1, "unit": evil, "atMost": 2, "met": true}},
            "latencies": {evil: {"p50": 1, "p99": 2, "max": 3, "unit": evil, "calls": 4}},
        });
        let curve = json!({"unit": evil, "xName": evil, "x": [1, 2], "y": [3, 4]});
        results["curves"] =
            json!({format!("{evil}: {evil}"): curve, format!("{evil}: {evil}, fitted"): curve});
        let page = page::html(&results);
        assert!(!page.contains("<b ") && !page.contains("\"1\"") && !page.contains("c='2'"), "{page}");
        assert!(page.matches("&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;").count() > 10, "{page}");
    }

    #[test]
    fn draws_curves_of_one_kind_together_and_the_line_that_was_fitted() {
        let mut results = results(60.0, "here");
        results["curves"] = json!({
            "memory: resident": curve([7.0, 8.0, 20.0]),
            "memory: anonymous": curve([1.0, 2.0, 9.0]),
            "disk: resident": curve([7.0, 8.0, 20.0]),
        });
        results["figures"]["memory: resident, of each further volume, fitted"] =
            json!({"value": 4.5, "unit": "KiB"});
        let page = page::html(&results);
        assert_eq!(page.matches("<figure>").count(), 2);
        assert_eq!(page.matches("<polyline class=\"curve\"").count(), 3);
        assert_eq!(page.matches("<polyline class=\"fitted\"").count(), 1);
        assert!(page.contains("<span>resident (dashed: fitted)</span>"), "{page}");
        assert!(page.contains("<title>300 volumes: 8 MiB</title>"), "{page}");
        assert!(page.contains(">volumes (logarithmic)</text>"));
    }

    #[test]
    fn has_a_logarithmic_axis_and_one_from_zero() {
        let page = with_curves(json!({"resident": curve([10.0, 20.0, 40.0])}));
        for tick in ["10", "30", "100", "300", "1000", "3000"] {
            assert!(page.contains(&format!("text-anchor=\"middle\">{tick}</text>")), "{tick}");
        }
        for tick in ["0", "10", "20", "30", "40"] {
            assert!(page.contains(&format!("text-anchor=\"end\">{tick}</text>")), "{tick}");
        }
        // From the left end of the axis to the right one, and half as high is half as much.
        assert!(page.contains("<polyline class=\"curve\" points=\"56.0,210.5 "), "{page}");
        assert!(page.contains(" 696.0,26.0\"/>"), "{page}");
    }

    #[test]
    fn survives_results_that_are_odd() {
        let flat = json!({"unit": "", "xName": "", "x": [5, 5], "y": [0, 0]});
        let odd = json!({
            "a": flat, "b": {"x": [0, 10, 100], "y": [1, 2, 3]}, "c": {}, "d": 7,
            "e": curve([1e-9, 0.0, -4.0]),
        });
        let page = with_curves(odd);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
        assert!(page::html(&Value::Null).contains("</html>"));
    }
}
