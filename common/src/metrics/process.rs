//! The process, under the names that Prometheus' own client libraries use. Elsewhere than on Linux these stay 0.
//!
//! Written here and not taken from `metrics-process`, which on macOS takes libclang to build: on Linux it is these lines.

#[cfg(target_os = "linux")]
use procfs::WithCurrentSystemInfo;
#[cfg(target_os = "linux")]
use procfs::process::{LimitValue, Process};

/// Looks at the process. What cannot be read stays as it was.
#[cfg(target_os = "linux")]
pub(super) fn look() {
    let Ok(process) = Process::myself() else { return };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second();
        metrics::counter!("process_cpu_seconds_total").absolute((stat.utime + stat.stime) / ticks);
        metrics::gauge!("process_resident_memory_bytes").set(stat.rss_bytes().get() as f64);
        metrics::gauge!("process_virtual_memory_bytes").set(stat.vsize as f64);
        metrics::gauge!("process_threads").set(stat.num_threads as f64);
        if let Ok(boot) = procfs::boot_time_secs() {
            let started = boot as f64 + stat.starttime as f64 / ticks as f64;
            metrics::gauge!("process_start_time_seconds").set(started);
        }
    }
    if let Ok(open) = process.fd_count() {
        metrics::gauge!("process_open_fds").set(open as f64);
    }
    if let Ok(limits) = process.limits() {
        let most = match limits.max_open_files.soft_limit {
            LimitValue::Value(most) => most as f64,
            LimitValue::Unlimited => f64::INFINITY,
        };
        metrics::gauge!("process_max_fds").set(most);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn look() {}
