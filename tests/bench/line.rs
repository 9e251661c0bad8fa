//! The straight line through points, with the least squared distances.

/// `y` is `at` the mean of all `x`, and so much more for each further one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    x: f64,
    y: f64,
    /// How much `y` grows with `x`.
    pub slope: f64,
}

impl Line {
    /// None where all points have one `x`, or there are none.
    pub fn through(points: &[(f64, f64)]) -> Option<Line> {
        let count = points.iter().map(|_| 1.0).sum::<f64>();
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let products: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let squares: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        (squares > 0.0).then(|| Line { x, y, slope: products / squares })
    }

    /// Its `y`.
    pub fn at(&self, x: f64) -> f64 {
        self.y + (x - self.x) * self.slope
    }
}
