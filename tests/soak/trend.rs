//! Whether a series of numbers grows, or only moves about: the arithmetic of the soak's verdict.
//!
//! A straight line is laid through the series by ordinary least squares. Its growth is what the line rises by from the
//! first point to the last, its margin the one-sided error of that at 99.5 %, by Student's distribution. Of a dozen
//! series of which none grows, this takes one for growing in about one run of twenty, at most.
//!
//! Memory keeps what it once needed, so neighbours are often alike, and a series of such points says less than it has
//! points. Where the remainders are correlated with their successors more than chance explains (r > 2 / √n), they count
//! as n (1 - r) / (1 + r) independent ones.
//!
//! Then: a series grows when its growth is more than its margin and more than a floor below which nobody cares. It is
//! unclear when a growth beyond a ceiling could hide in its margin. Otherwise it is flat. A line can rise by more than
//! its points differ; for both questions no growth counts as larger than that.

/// What a line through a series says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// What it rises by from the first point to the last.
    pub growth: f64,
    /// How far that may be from the truth.
    pub margin: f64,
    /// The highest value less the lowest.
    pub range: f64,
}

/// What is to be thought of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does not grow by more than matters.
    Flat,
    /// It does.
    Grows,
    /// It moves about so much that nobody can tell.
    Unclear,
}

impl Trend {
    /// The trend of points, each a time and a value, in the order of time; none of fewer than [`LEAST_POINTS`].
    pub fn of(points: &[(f64, f64)]) -> Option<Trend> {
        if points.len() < LEAST_POINTS {
            return None;
        }
        let count = points.iter().map(|_| 1.0).sum::<f64>();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (middle, level) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|(time, _)| (time - middle).powi(2)).sum();
        let slope =
            points.iter().map(|(time, value)| (time - middle) * (value - level)).sum::<f64>() / spread;
        let remainders: Vec<f64> =
            points.iter().map(|(time, value)| value - level - slope * (time - middle)).collect();
        let squares: f64 = remainders.iter().map(|remainder| remainder.powi(2)).sum();
        let independent = independent(&remainders, squares, count);
        let error = (squares / (independent - 2.0) / spread).sqrt();
        let span = points[points.len() - 1].0 - points[0].0;
        let values = || points.iter().map(|point| point.1);
        Some(Trend {
            growth: slope * span,
            margin: student(independent - 2.0) * error * span,
            range: values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min),
        })
    }

    /// The verdict, where growth up to `floor` does not matter and growth beyond `ceiling` must not go unseen.
    pub fn verdict(&self, floor: f64, ceiling: f64) -> Verdict {
        if self.growth > self.margin && self.growth.min(self.range) > floor {
            Verdict::Grows
        } else if self.at_most() > ceiling {
            Verdict::Unclear
        } else {
            Verdict::Flat
        }
    }

    /// The largest growth that could hide in the series.
    pub fn at_most(&self) -> f64 {
        (self.growth + self.margin).min(self.range)
    }
}

/// As how many independent points a series counts.
fn independent(remainders: &[f64], squares: f64, count: f64) -> f64 {
    let neighbours: f64 = remainders.windows(2).map(|pair| pair[0] * pair[1]).sum();
    // Of a series without remainders there is nothing to correlate.
    let correlation = if squares > 0.0 { neighbours / squares } else { 0.0 };
    if correlation <= 2.0 / count.sqrt() {
        return count;
    }
    (count * (1.0 - correlation) / (1.0 + correlation)).max(FEWEST_INDEPENDENT)
}

/// The 99.5 % quantile of Student's distribution. Between the lines of the table it is nearly linear in the inverse.
fn student(freedom: f64) -> f64 {
    let freedom = freedom.max(1.0);
    for pair in STUDENT.windows(2) {
        let ((fewer, larger), (more, smaller)) = (pair[0], pair[1]);
        if freedom <= more {
            let part = (1.0 / fewer - 1.0 / freedom) / (1.0 / fewer - 1.0 / more);
            return larger + part * (smaller - larger);
        }
    }
    NORMAL
}

/// Fewer say nothing about their own noise.
pub const LEAST_POINTS: usize = 5;
/// A line needs two, and its error one more.
const FEWEST_INDEPENDENT: f64 = 3.0;
/// Degrees of freedom and the quantile.
const STUDENT: [(f64, f64); 13] = [
    (1.0, 63.657),
    (2.0, 9.925),
    (3.0, 5.841),
    (4.0, 4.604),
    (5.0, 4.032),
    (6.0, 3.707),
    (8.0, 3.355),
    (10.0, 3.169),
    (15.0, 2.947),
    (20.0, 2.845),
    (30.0, 2.750),
    (60.0, 2.660),
    (f64::INFINITY, NORMAL),
];
/// The same quantile of the normal distribution.
const NORMAL: f64 = 2.576;

#[cfg(test)]
mod tests {
    use super::*;
    use kit::random::Random;

    fn series(values: impl IntoIterator<Item = f64>) -> Vec<(f64, f64)> {
        values
            .into_iter()
            .enumerate()
            .map(|(at, value)| (f64::from(u32::try_from(at).unwrap()), value))
            .collect()
    }

    /// Roughly normal, of mean 0 and deviation 1.
    fn noise(random: &mut Random) -> f64 {
        let sum: f64 = (0..12).map(|_| f64::from(u32::try_from(random.below(1 << 20)).unwrap())).sum();
        sum / f64::from(1 << 20) - 6.0
    }

    /// How often, of a thousand series, one is taken for growing.
    fn taken_for_growing(slope: f64, kept: f64) -> usize {
        let mut random = Random::new(4711);
        let grows = |_: &usize| {
            let mut level = 0.0;
            let values = (0..40).map(|at| {
                level = kept * level + noise(&mut random);
                level + slope * f64::from(at)
            });
            Trend::of(&series(values)).unwrap().verdict(0.0, f64::INFINITY) == Verdict::Grows
        };
        (0..1000).filter(grows).count()
    }

    #[test]
    fn a_line_through_known_points_is_the_known_one() {
        // The first of Anscombe's four: slope 0.5001, its standard error 0.1179, nine degrees of freedom.
        let points = [
            (4.0, 4.26),
            (5.0, 5.68),
            (6.0, 7.24),
            (7.0, 4.82),
            (8.0, 6.95),
            (9.0, 8.81),
            (10.0, 8.04),
            (11.0, 8.33),
            (12.0, 10.84),
            (13.0, 7.58),
            (14.0, 9.96),
        ];
        let trend = Trend::of(&points).unwrap();
        assert!((trend.growth - 5.001).abs() < 0.001, "{trend:?}");
        // 3.250 times the error.
        assert!((trend.margin - 3.832).abs() < 0.02, "{trend:?}");
        assert!((trend.range - 6.58).abs() < 1e-9, "{trend:?}");
    }

    #[test]
    fn the_quantiles_between_the_lines_of_the_table_are_those_of_the_books() {
        for (freedom, quantile) in [(1.0, 63.657), (7.0, 3.499), (12.0, 3.055), (40.0, 2.704), (120.0, 2.617)]
        {
            assert!((student(freedom) - quantile).abs() < 0.01, "{freedom}: {}", student(freedom));
        }
        assert!(student(0.3) > 63.0 && student(f64::INFINITY) < 2.58);
    }

    #[test]
    fn what_stays_the_same_is_flat_and_what_rises_steadily_is_not() {
        let same = Trend::of(&series([7.0; 9])).unwrap();
        assert_eq!(same, Trend { growth: 0.0, margin: 0.0, range: 0.0 });
        assert_eq!(same.verdict(0.0, 0.0), Verdict::Flat);
        let rising = Trend::of(&series((0..9).map(f64::from))).unwrap();
        assert_eq!(rising.verdict(2.0, 10.0), Verdict::Grows);
        assert_eq!(rising.verdict(8.5, 10.0), Verdict::Flat, "not by more than matters");
        let falling = Trend::of(&series((0..9).map(|at| f64::from(-at)))).unwrap();
        assert_eq!(falling.verdict(0.0, 0.0), Verdict::Flat, "less is no leak");
    }

    #[test]
    fn too_few_points_have_no_trend() {
        assert_eq!(Trend::of(&series([1.0, 2.0, 3.0, 4.0])), None);
    }

    #[test]
    fn noise_alone_is_seldom_taken_for_growth() {
        let found = taken_for_growing(0.0, 0.0);
        assert!(found <= 15, "{found} of 1000");
        // A third of what one wave leaves in memory is there after the next, or two thirds.
        for kept in [0.3, 0.66] {
            let found = taken_for_growing(0.0, kept);
            assert!(found <= 60, "{found} of 1000, of which {kept} is kept");
        }
    }

    #[test]
    fn growth_of_a_few_deviations_is_seen_through_the_noise() {
        // Over the whole series four times what one value differs from the next.
        let found = taken_for_growing(0.1, 0.0);
        assert!(found >= 990, "{found} of 1000");
    }

    #[test]
    fn a_single_step_is_no_growth_beyond_itself() {
        for at in 1..20 {
            let step = series((0..20).map(|place| if place < at { 5.0 } else { 7.0 }));
            assert_eq!(Trend::of(&step).unwrap().verdict(2.0, 2.0), Verdict::Flat, "at {at}");
        }
    }

    #[test]
    fn growth_that_is_no_line_is_not_called_flat() {
        let points = || (0..20).map(f64::from);
        for (name, values) in [
            ("ever faster", points().map(|at| at * at * 8.0).collect::<Vec<_>>()),
            ("ever slower", points().map(|at| at.sqrt() * 700.0).collect()),
            ("in two steps", points().map(|at| (at / 7.0).floor() * 1500.0).collect()),
        ] {
            let trend = Trend::of(&series(values)).unwrap();
            assert_ne!(trend.verdict(256.0, 1024.0), Verdict::Flat, "{name}: {trend:?}");
        }
    }

    #[test]
    fn a_series_in_which_growth_could_hide_is_unclear() {
        let wild = series([0.0, 900.0, 100.0, 1000.0, 0.0, 800.0, 200.0, 950.0]);
        assert_eq!(Trend::of(&wild).unwrap().verdict(50.0, 500.0), Verdict::Unclear);
        assert_eq!(Trend::of(&wild).unwrap().verdict(50.0, 1000.0), Verdict::Flat);
    }
}
