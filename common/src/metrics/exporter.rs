//! The exporter of a daemon: sets up all its metrics, at zero where their labels are known, and renders them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::catalogue::{self, Daemon, Kind, Metric};
use super::process;

/// How often what was counted is added up; until then every single observation is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// Looks at something, and sets the gauges that say how it is.
type Look = Box<dyn Fn() + Send>;

/// What gives the metrics of this process out; cheap to clone.
#[derive(Clone)]
pub struct Exporter {
    prometheus: PrometheusHandle,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Exporter {
    /// Starts to count (in a tokio runtime): sets up what that daemon exports.
    ///
    /// # Errors
    /// When metrics are set up already.
    pub fn install(daemon: Daemon) -> Result<Self, BuildError> {
        let mut builder = PrometheusBuilder::new();
        for metric in catalogue::all() {
            if let Kind::Histogram(buckets) = metric.kind {
                builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
            }
        }
        let prometheus = builder.install_recorder()?;
        for metric in catalogue::all().filter(|metric| metric.of.contains(&daemon)) {
            metric.describe();
            metric.begin();
        }
        metrics::gauge!("shop_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        let exporter = Self { prometheus, looks: Arc::default() };
        exporter.look(process::look);
        let tokio = tokio::runtime::Handle::current().metrics();
        exporter.look(move || {
            metrics::gauge!("tokio_alive_tasks").set(tokio.num_alive_tasks() as f64);
            metrics::gauge!("tokio_queued_tasks").set(tokio.global_queue_depth() as f64);
        });
        let upkeep = exporter.prometheus.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(exporter)
    }

    /// Has something looked at each time before the metrics are rendered. It must not block.
    pub fn look(&self, look: impl Fn() + Send + 'static) {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(look));
    }

    /// All metrics, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        for look in &*self.looks.lock().unwrap_or_else(PoisonError::into_inner) {
            look();
        }
        self.prometheus.render()
    }
}

impl Metric {
    /// Says what it means.
    fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.unit, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.unit, self.help),
            Kind::Histogram(_) => metrics::describe_histogram!(self.name, self.unit, self.help),
        }
    }

    /// Makes all series whose labels are known beforehand, so that their first event is seen as a rise, and not as
    /// a counter that begins at one.
    fn begin(&self) {
        for labels in self.labels.known() {
            match self.kind {
                Kind::Counter => metrics::counter!(self.name, &labels).increment(0),
                Kind::Gauge => metrics::gauge!(self.name, &labels).increment(0),
                Kind::Histogram(_) => drop(metrics::histogram!(self.name, &labels)),
            }
        }
    }
}
