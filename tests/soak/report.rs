//! What is shown: progress while it runs, then the series and the figures, and what held.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::series::{Judged, Sample};
use crate::stage::Stage;
use crate::trend::{Trend, Verdict};

/// Where a long run is, on standard error.
pub struct Progress {
    begun: Instant,
    shown: Instant,
}

impl Progress {
    pub fn start() -> Progress {
        Progress { begun: Instant::now(), shown: Instant::now() }
    }

    /// Lets that time pass, or less where there is a fault.
    pub fn wait(&mut self, stage: &Stage, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !stage.ledger.is_stopped() {
            thread::sleep(STEP.min(until.saturating_duration_since(Instant::now())));
            if self.shown.elapsed() >= PAUSE {
                let ledger = &stage.ledger;
                self.say(&format!(
                    "{} volumes live, {} publishes, {} calls about live volumes, {} of them with news, {} restarts",
                    ledger.live(),
                    ledger.publishes.get(),
                    ledger.refreshes.get(),
                    ledger.rotations.get(),
                    ledger.restarts.get(),
                ));
            }
        }
    }

    pub fn say(&mut self, what: &str) {
        self.shown = Instant::now();
        eprintln!("[{:>4} s] {what}", self.begun.elapsed().as_secs());
    }

    pub fn passed(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// The series as a table.
pub fn table(series: &[Judged], samples: &[Sample]) -> String {
    let span = span(samples);
    let mut out = format!(
        "at rest after each wave: {} samples over {:.1} min\n\n\
         {:<24} {:>4} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8} {:>9}\n{}\n",
        samples.len(),
        span.as_secs_f64() / 60.0,
        "",
        "",
        "first",
        "last",
        "least",
        "most",
        "growth",
        "+/-",
        "at most",
        "an hour",
        "-".repeat(WIDTH),
    );
    for judged in series {
        let values = &judged.values;
        let first = values.first().copied().unwrap_or_default();
        let last = values.last().copied().unwrap_or_default();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let values = [first, last, least, most].map(shown);
        let [first, last, least, most] = &values;
        let trend = judged.trend.map_or(std::array::from_fn(|_| "?".to_owned()), |trend| {
            let an_hour = trend.growth * HOUR_SECONDS / span.as_secs_f64();
            [signed(trend.growth), shown(trend.margin), shown(trend.at_most()), signed(an_hour)]
        });
        let [growth, margin, at_most, an_hour] = &trend;
        out.push_str(&format!(
            "{:<24} {:>4} {first:>9} {last:>9} {least:>9} {most:>9} {growth:>9} {margin:>8} {at_most:>8} {an_hour:>9}   {}\n",
            judged.name,
            judged.unit,
            word(judged.verdict),
        ));
    }
    out + "\ngrowth is that of a straight line through the samples from the first to the last, +/- its error at 99.5 %;\n\
           more than \"at most\" cannot hide in them\n"
}

/// Why the series are not flat.
pub fn complaints(series: &[Judged]) -> Vec<String> {
    let told = series.iter().filter_map(|judged| {
        let Judged { name, unit, .. } = judged;
        match (judged.verdict?, judged.trend) {
            (Verdict::Flat, _) => None,
            (_, None) => Some(format!("{name}: too few samples")),
            (Verdict::Unclear, _) => Some(format!("{name} moves about too much to tell")),
            (Verdict::Grows, Some(Trend { growth, margin, .. })) => {
                let floor = judged.floor.unwrap_or_default();
                let is = format!("{name} grows by {growth:.1} +/- {margin:.1} {unit} in the run");
                Some(format!("{is}, of which {floor:.0} would not matter"))
            }
        }
    });
    told.collect()
}

/// Everything for programs.
pub fn json(seed: u64, stage: &Stage, samples: &[Sample], series: &[Judged]) -> String {
    let judged = series.iter().map(|judged| {
        let row = json!({
            "unit": judged.unit,
            "values": judged.values,
            "growth": judged.trend.map(|trend| trend.growth),
            "margin": judged.trend.map(|trend| trend.margin),
            "floor": judged.floor,
            "verdict": word(judged.verdict),
        });
        (judged.name.to_owned(), row)
    });
    let counts = stage.ledger.rows().map(|(name, count)| (name.to_owned(), json!(count)));
    let whole = json!({
        "seed": seed,
        "seconds": samples.iter().map(|sample| sample.at.as_secs_f64()).collect::<Vec<_>>(),
        "series": judged.collect::<Map<_, _>>(),
        "counts": counts.into_iter().collect::<Map<_, Value>>(),
        "faults": stage.ledger.faults(),
    });
    format!("{whole:#}\n")
}

fn span(samples: &[Sample]) -> Duration {
    match samples {
        [first, .., last] => last.at - first.at,
        _ => Duration::ZERO,
    }
}

fn word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "",
        Some(Verdict::Flat) => "flat",
        Some(Verdict::Grows) => "GROWS",
        Some(Verdict::Unclear) => "UNCLEAR",
    }
}

/// As many digits as mean something.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", shown(value)) } else { shown(value) }
}

const WIDTH: usize = 117;
const HOUR_SECONDS: f64 = 3600.0;
const STEP: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_secs(10);
