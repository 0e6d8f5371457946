//! The command line; the comments on the fields are its help.

use std::num::NonZeroU32;

use clap::Parser;

/// Measure lists: every kind of page on a large shop, beside the same on a small one
///
/// It fills two databases of its own, asks each for every kind of page (the first, one in the middle by cursor, each
/// filter, searches), and shows the medians. PostgreSQL tells the plan of every statement (auto_explain, which takes a
/// superuser). Exits with 0 only if the large shop's products, orders, users and payments were never read from end to end.
#[derive(Parser, Debug)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    /// Products of the large shop
    #[arg(long, default_value = "1000000", value_name = "N")]
    pub(crate) products: NonZeroU32,

    /// Orders of the large shop, half of them of one customer
    #[arg(long, default_value = "2000000", value_name = "N")]
    pub(crate) orders: NonZeroU32,

    /// Products of the small shop, and its orders
    #[arg(long, default_value = "1000", value_name = "N")]
    pub(crate) small: NonZeroU32,

    /// How often each page is asked for; medians are shown
    #[arg(long, default_value = "51", value_name = "N")]
    pub(crate) samples: NonZeroU32,

    /// A PostgreSQL on which databases may be made (`shopctl services run` sets it)
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
