//! One metric name and its children, one child for each combination of label values.
//!
//! It knows neither which series exist nor which values are fit to be labels; see `mod.rs` and `labels.rs`.
//!
//! The crate's own `*Vec` types are not used because they find a child by an FNV hash over the label values
//! run together, so that `("ab", "c")` and `("a", "bc")` share one counter. Provider names and error types
//! are chosen by others, who could then move each other's counts about. Here the key is the values
//! themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::lock::Mutex;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};

use super::MetricsError;

/// The constant side of a series: everything but its values.
pub(super) struct Series {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// Names of the labels that each event fills in, in the order of [`Family::record`]'s argument.
    pub(super) labels: &'static [&'static str],
    /// Labels that every child carries with the same value.
    pub(super) constant: &'static [(&'static str, &'static str)],
    /// Upper bounds in seconds; empty for counters.
    pub(super) bounds: &'static [f64],
}

/// A handle on a registered metric name. A child appears with its first event, never before.
#[derive(Clone)]
pub(super) struct Family<M>(Arc<Inner<M>>);

struct Inner<M> {
    series: Series,
    desc: Desc,
    children: Mutex<BTreeMap<Vec<String>, M>>,
}

/// What a family can hold.
pub(super) trait Child: Collector + Clone + 'static {
    fn make(opts: Opts, bounds: &[f64]) -> prometheus::Result<Self>;
}

impl<M: Child> Family<M> {
    /// Registers the name.
    ///
    /// # Errors
    /// The name is taken, or the name or a label is not one that Prometheus accepts.
    pub(super) fn register(registry: &Registry, series: Series) -> Result<Family<M>, MetricsError> {
        let name = series.name;
        let refused = |cause| MetricsError::Register { series: name, cause };
        // A child is made and thrown away here, so that a bad name fails at start and not at the first event.
        let blank = vec![""; series.labels.len()];
        make_child::<M>(&series, &blank).map_err(refused)?;
        let opts = opts(&series, &[]);
        let labels = series.labels.iter().map(ToString::to_string).collect();
        let desc = Desc::new(opts.fq_name(), opts.help, labels, opts.const_labels).map_err(refused)?;
        let family = Family(Arc::new(Inner { series, desc, children: Mutex::default() }));
        registry.register(Box::new(family.clone())).map_err(refused)?;
        Ok(family)
    }

    /// Runs `act` on the child with these label values, which is made if this is its first event.
    pub(super) fn record(&self, values: &[&str], act: impl FnOnce(&M)) {
        let key: Vec<String> = values.iter().map(ToString::to_string).collect();
        let mut children = self.0.children.lock();
        if let Some(child) = children.get(&key) {
            return act(child);
        }
        match make_child::<M>(&self.0.series, values) {
            Ok(child) => {
                act(&child);
                children.insert(key, child);
            }
            Err(cause) => {
                log::error!(series = self.0.series.name, cause:% = cause; "could not count an event");
            }
        }
    }
}

impl<M: Child> Collector for Family<M> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let children = self.0.children.lock();
        let mut families = children.values().flat_map(Collector::collect);
        let Some(mut all) = families.next() else {
            return Vec::new();
        };
        for mut one in families {
            all.mut_metric().append(&mut one.take_metric());
        }
        vec![all]
    }
}

impl Child for IntCounter {
    fn make(opts: Opts, _bounds: &[f64]) -> prometheus::Result<IntCounter> {
        IntCounter::with_opts(opts)
    }
}

impl Child for IntGauge {
    fn make(opts: Opts, _bounds: &[f64]) -> prometheus::Result<IntGauge> {
        IntGauge::with_opts(opts)
    }
}

impl Child for Histogram {
    fn make(opts: Opts, bounds: &[f64]) -> prometheus::Result<Histogram> {
        Histogram::with_opts(HistogramOpts::from(opts).buckets(bounds.to_vec()))
    }
}

fn make_child<M: Child>(series: &Series, values: &[&str]) -> prometheus::Result<M> {
    if values.len() != series.labels.len() {
        return Err(prometheus::Error::InconsistentCardinality {
            expect: series.labels.len(),
            got: values.len(),
        });
    }
    M::make(opts(series, values), series.bounds)
}

fn opts(series: &Series, values: &[&str]) -> Opts {
    let named = series.labels.iter().zip(values);
    let constant = series.constant.iter().map(|(name, value)| (name, value));
    named
        .chain(constant)
        .fold(Opts::new(series.name, series.help), |opts, (name, value)| opts.const_label(*name, *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &'static str, labels: &'static [&'static str]) -> Series {
        Series { name, help: "a test", labels, constant: &[], bounds: &[] }
    }

    #[test]
    fn values_that_read_the_same_when_run_together_stay_apart() {
        let registry = Registry::new();
        let family = Family::<IntCounter>::register(&registry, series("pairs", &["left", "right"])).unwrap();
        family.record(&["ab", "c"], |counter| counter.inc());
        family.record(&["a", "bc"], |counter| counter.inc());
        assert_eq!(family.collect()[0].get_metric().len(), 2);
    }

    #[test]
    fn a_family_without_events_is_not_shown() {
        let registry = Registry::new();
        Family::<IntCounter>::register(&registry, series("quiet", &["left"])).unwrap();
        assert!(registry.gather().is_empty());
    }

    #[test]
    fn a_bad_name_is_refused_when_it_is_registered() {
        let refused = Family::<IntCounter>::register(&Registry::new(), series("not a name", &[]));
        let text = refused.err().unwrap().to_string();
        assert!(text.starts_with("could not register metric not a name: "), "{text}");
    }

    #[test]
    fn a_name_can_be_taken_only_once() {
        let registry = Registry::new();
        assert!(Family::<IntCounter>::register(&registry, series("twin", &[])).is_ok());
        assert!(Family::<IntCounter>::register(&registry, series("twin", &[])).is_err());
    }
}
