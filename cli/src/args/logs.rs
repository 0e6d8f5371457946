//! The command line of `shopctl logs`.

use clap::{Args, ValueEnum};

use super::ShopArgs;

/// Options of `shopctl logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) shop: ShopArgs,

    /// Only this one: `api` for all apis, or `api-1`, `worker-1`, `postgres`, `redis`, `shop`
    #[arg(value_name = "SERVICE", value_parser = service)]
    pub(crate) service: Option<String>,

    /// Go on with what is written from now on, until Ctrl-C or the end of the shop
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// How many of the last lines to begin with
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,

    /// Only lines of this level or worse
    #[arg(long, value_enum, default_value_t = Level::Trace)]
    pub(crate) level: Level,
}

/// The name of a service, or of all of its kind.
fn service(name: &str) -> Result<String, String> {
    let kinds = ["api", "worker", "postgres", "redis", "shop"];
    let (kind, number) = name.split_once('-').map_or((name, None), |(kind, number)| (kind, Some(number)));
    match number.map(str::parse::<u32>) {
        None | Some(Ok(_)) if kinds.contains(&kind) => Ok(name.to_owned()),
        _ => Err(format!("it is one of {}; of several it can have a number, as in api-1", kinds.join(", "))),
    }
}

/// How bad a line is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, serde::Serialize, utoipa::ToSchema)]
#[schema(as = LogLevel)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Something failed
    Error,
    /// Something is not as it should be
    Warn,
    /// What happens
    Info,
    /// How it happens
    Debug,
    /// Everything
    Trace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_its_kind_and_number() {
        for name in ["api", "api-1", "worker-12", "postgres", "shop"] {
            assert_eq!(service(name).as_deref(), Ok(name));
        }
        for name in ["apis", "api-x", "api-", ""] {
            assert!(service(name).is_err(), "{name}");
        }
    }
}
