//! The command line; the comments on the fields are its help.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Replay a real shop's order lines against a running shop, and check every unit of stock afterwards
///
/// Reads an export of order lines (InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID), creates its
/// products and customers, places every sale as its customer, waits until all orders are settled, and compares stock to the unit.
/// Exits with 0 only if every invoice is placed or listed with its reason and all checks hold.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Exports to read, CSV or gzipped CSV; several are read as one
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Where the shop answers, such as http://127.0.0.1:8000 (`shopctl status -o env` prints it)
    #[arg(long, env = "BASE_URL", value_name = "URL", value_parser = base_url, required_unless_present = "plan_only")]
    pub(crate) base_url: Option<String>,

    /// How fast: `max`, or N times as fast as the sales really came
    #[arg(long, default_value = "max", value_name = "N|max")]
    pub(crate) speed: Speed,

    /// Buyers who order at the same time
    #[arg(long, default_value = "64", value_name = "N")]
    pub(crate) clients: NonZeroUsize,

    /// Take only the first N invoices of the export
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,

    /// Pay every order with this method instead of the mix
    #[arg(long, value_name = "METHOD")]
    pub(crate) payment_method: Option<String>,

    /// Who creates the products
    #[arg(long, env = "ADMIN_EMAIL", default_value = "admin@example.com", value_name = "EMAIL")]
    pub(crate) admin_email: String,

    /// The password that belongs to it
    #[arg(long, env = "ADMIN_PASSWORD", default_value = "password", value_name = "PASSWORD", hide_env_values = true)]
    pub(crate) admin_password: String,

    /// Seconds to wait, after the last order, for all orders to be settled
    #[arg(long, default_value = "600", value_name = "SECONDS")]
    settle_timeout: u64,

    /// The shop's database, for `shopctl verify`, which is skipped without it
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,

    /// The `shopctl` to verify with; by default the one next to this program
    #[arg(long, value_name = "PATH")]
    pub(crate) shopctl: Option<PathBuf>,

    /// Write the fate of every invoice to this file, as JSON
    #[arg(long, value_name = "FILE.json", conflicts_with = "plan_only")]
    pub(crate) report: Option<PathBuf>,

    /// Say what would be sold and what not, and stop
    #[arg(long)]
    pub(crate) plan_only: bool,
}

impl Args {
    pub(crate) fn limit(&self) -> usize {
        self.limit.map_or(usize::MAX, NonZeroUsize::get)
    }

    pub(crate) fn settle_timeout(&self) -> Duration {
        Duration::from_secs(self.settle_timeout)
    }
}

/// How the time between two sales is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// No pauses at all.
    Max,
    /// The real pauses, divided by this.
    Times(f64),
}

impl std::str::FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times >= 0.001 => Ok(Self::Times(times)),
            _ => Err("give `max` or a number from 0.001 up"),
        }
    }
}

/// The program speaks plain HTTP only, and the paths are appended to what is given.
fn base_url(text: &str) -> Result<String, &'static str> {
    if text.len() > "http://".len() && text.starts_with("http://") {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("it must begin with http://")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn speed_is_max_or_a_number_that_ends_some_day() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("2.5".parse(), Ok(Speed::Times(2.5)));
        for wrong in ["0", "0.0001", "-1", "inf", "NaN", "fast", ""] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn base_url_is_plain_http_and_loses_its_last_slash() {
        assert_eq!(base_url("http://127.0.0.1:8000/"), Ok("http://127.0.0.1:8000".to_owned()));
        assert!(base_url("https://shop.example").is_err());
        assert!(base_url("http://").is_err());
    }
}
