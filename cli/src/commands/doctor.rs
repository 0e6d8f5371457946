//! `shopctl doctor`: everything that is looked at when something seems wrong, with the fix for what is.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use rustix::fs::statvfs;
use secrecy::SecretString;
use shop_common::config::{self, ConfigError};
use shop_common::db;
use shop_common::doctor::{self, Check, Subject, Verdict};
use shop_common::redis::Redis;

use crate::args::Format;
use crate::args::doctor::DoctorArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::settings::Here;
use crate::stack::probe;
use crate::stack::service::Kind;
use crate::stack::state::{ServiceState, StackState};

/// Free bytes below which a disk is about to be full, and below which it as good as is.
const DISK_TIGHT: u64 = 2 << 30;
const DISK_FULL: u64 = 256 << 20;

/// How long a silent worker keeps its jobs, where the settings do not tell.
const USUAL_LEASE: Duration = Duration::from_secs(15);

/// Looks everything over; fails when a check does.
pub(crate) async fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let checks = match Here::look(&args.shop.home.dir) {
        Ok(here) => examine(&here, &args.shop.home.dir).await,
        Err(error) => vec![settings(Err(error))],
    };
    let row = |check: &Check| [check.name.clone(), word(check.verdict).to_owned(), check.seen.clone()];
    output::list(args.format(), &checks, ["CHECK", "STATE", "SEEN"], row)?;
    let fixes: Vec<[String; 2]> =
        checks.iter().filter_map(|check| Some([check.name.clone(), check.fix.clone()?])).collect();
    if args.format() == Format::Table && !fixes.is_empty() {
        output::data("")?;
        output::table(["CHECK", "WHAT TO DO"], fixes)?;
    }
    match checks.iter().filter(|check| check.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        failed => Err(Failure::new(Exit::Failed, format!("{failed} of {} checks failed", checks.len()))
            .next("do what is said for each, and look again")),
    }
}

async fn examine(here: &Here, dir: &Path) -> Vec<Check> {
    let mut checks = vec![settings(config::check(&here.figment))];
    let postgres = config::section::<config::Postgres>(&here.figment, "databases.pg");
    let placing =
        config::section::<config::Placement>(&here.figment, "placement").map_or(0, |placing| placing.connections());
    let usual = postgres.as_ref().map_or(0, |settings| settings.max_connections);
    let pool = postgres.map_err(|error| error.to_string());
    let pool = pool.and_then(|settings| db::pool(&settings).map_err(|error| format!("DATABASE_URL: {error}")));
    let redis = config::section::<config::Redis>(&here.figment, "databases.redis").map_err(|error| error.to_string());
    let redis = redis.and_then(|settings| Redis::connect(&settings).map_err(|error| format!("REDIS_URL: {error}")));
    let jwt_secret: Option<SecretString> = here.figment.extract_inner("auth.jwt_secret").ok();
    // What cannot be read is said by the check of the settings.
    let lease = config::section::<config::Worker>(&here.figment, "worker").map(|worker| worker.lease());
    let apis = here.stack.as_ref().map_or(1, |stack| stack.pids(Kind::Api).len());
    let subject = Subject {
        postgres: pool.as_ref().map_err(Clone::clone),
        redis: redis.as_ref().map_err(Clone::clone),
        jwt_secret: jwt_secret.as_ref(),
        production: here.production,
        lease: lease.unwrap_or(USUAL_LEASE),
        of_api: usual + placing,
        of_worker: usual + config::Worker::CONNECTIONS,
        apis: u32::try_from(apis).unwrap_or(u32::MAX),
    };
    checks.extend(doctor::examine(&subject).await);
    if let Some(stack) = &here.stack {
        checks.extend(programs(stack).await);
        checks.push(disk(dir));
    }
    checks
}

fn settings(checked: Result<(), ConfigError>) -> Check {
    let fix = "correct it; `shopctl config show` says where each setting comes from";
    match checked {
        Ok(()) => Check::ok("settings", "all can be read, and nothing is set that nobody reads"),
        Err(error) => Check::failed("settings", error.to_string(), fix),
    }
}

/// The apis and workers that run here.
async fn programs(stack: &StackState) -> Vec<Check> {
    let ours = stack.services.iter().filter(|service| matches!(service.kind, Kind::Api | Kind::Worker));
    join_all(ours.map(async |service: &ServiceState| {
        let name = &service.name;
        let ready = match &service.address {
            Some(address) => probe::is_ready(address).await,
            None => false,
        };
        if ready {
            Check::ok(name, "it is ready")
        } else {
            let fix = format!("read `shopctl logs {name} --level warn`; `shopctl down` and `up` start it afresh");
            Check::failed(name, "it does not say that it is ready", fix)
        }
    }))
    .await
}

/// The disk that the data of this shop are on.
fn disk(dir: &Path) -> Check {
    let name = "disk";
    // The data may be on another one, behind a link.
    let data = dir.join("data").canonicalize().unwrap_or_else(|_| dir.to_owned());
    let free = match statvfs(&data) {
        Ok(disk) => disk.f_bavail * disk.f_frsize,
        Err(error) => return Check::unknown(name, format!("{}: {error}", data.display())),
    };
    let seen = format!("{:.1} GiB free for {}", free as f64 / (1_u64 << 30) as f64, data.display());
    let fix = "make room: PostgreSQL and Redis stop taking orders when the disk is full";
    match free {
        free if free < DISK_FULL => Check::failed(name, seen, fix),
        free if free < DISK_TIGHT => Check::warning(name, seen, fix),
        _ => Check::ok(name, seen),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "WARNING",
        Verdict::Failed => "FAILED",
        Verdict::Unknown => "unknown",
    }
}
