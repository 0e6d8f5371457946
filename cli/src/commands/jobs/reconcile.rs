//! `shopctl jobs reconcile`: whether Redis has the jobs that PostgreSQL has.

use shop_common::jobs::compare::{self, Comparison, Difference, Kind, Remedy};
use shop_common::jobs::queue::Queue;
use shop_common::jobs::reconcile::ReconcileError;

use crate::args::jobs::JobsReconcileArgs;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shop::{Shop, database};

/// Compares, and mends if that is asked for; fails when it only finds that a job is missing.
pub(crate) async fn run(args: &JobsReconcileArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let remedy = if args.fix { Remedy::Fix } else { Remedy::Report };
    let queue = Queue::new(shop.redis()?);
    let found = compare::compare(&shop.pool, &queue, shop.lease, remedy).await.map_err(|error| match error {
        ReconcileError::Database(error) => database(error),
        ReconcileError::Redis(error) => Failure::new(Exit::Away, format!("Redis does not answer: {error}"))
            .next("look at `shopctl status`, or check REDIS_URL"),
    })?;
    output::one(args.shop.output, &found, print)?;
    match remedy {
        Remedy::Report if found.missing > 0 => {
            Err(Failure::new(Exit::Failed, format!("{} jobs are missing from the schedule", found.missing))
                .next("the workers mend that within seconds; without one, `shopctl jobs reconcile --fix` does"))
        }
        Remedy::Report => Ok(()),
        Remedy::Fix => {
            output::note(format!("{} jobs scheduled, {} ghosts removed", found.missing + found.late, found.ghosts));
            Ok(())
        }
    }
}

fn print(found: &Comparison) -> std::io::Result<()> {
    let counts = [
        ("live", found.live, "in PostgreSQL: scheduled or running"),
        (word(Kind::Missing), found.missing, "due, or of a silent worker, and not in Redis"),
        (word(Kind::Late), found.late, "not due yet and not in Redis: comes back when it is due"),
        (word(Kind::Unleased), found.unleased, "in the hands of a living worker without a lease: ends by itself"),
        (word(Kind::Ghost), found.ghosts, "in Redis, but over or unknown: dropped when a worker meets it"),
    ];
    let row = |(name, count, meaning): (&str, u64, &str)| [name.to_owned(), count.to_string(), meaning.to_owned()];
    output::table(["JOBS", "COUNT", "MEANING"], counts.map(row).to_vec())?;
    if found.differences.is_empty() {
        return Ok(());
    }
    output::data("")?;
    let row = |difference: &Difference| [word(difference.kind).to_owned(), difference.member.clone()];
    output::table(["JOBS", "WHICH (THE FIRST 100)"], found.differences.iter().map(row).collect())
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Late => "late",
        Kind::Unleased => "unleased",
        Kind::Ghost => "ghost",
    }
}
