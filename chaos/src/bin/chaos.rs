//! `make chaos`: rounds of faults against real programs, and the proof that the rig would notice.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use shop_chaos::faults::{Fault, Tally};
use shop_chaos::report::{self, Line};
use shop_chaos::restored::{self, Restored};
use shop_chaos::round::{self, Plan};
use shop_chaos::stage::servers::Installed;
use shop_chaos::stage::{Disks, Stage};
use shop_common::chaos::Bug;
use tokio::signal::unix::{SignalKind, signal};

/// Plays rounds of faults against a shop of real programs and judges what is left of it.
///
/// The servers of DATABASE_URL and REDIS_URL only say which programs to run;
/// the rig starts its own. A seed gives the same schedule of faults and the
/// same orders again, but not the same interleaving.
#[derive(Debug, Parser)]
#[command(name = "chaos", version)]
struct Args {
    /// Where everything random comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How many rounds to play
    #[arg(long, default_value_t = 30)]
    rounds: usize,

    /// Only these faults, all of them in every round
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Fault>,

    /// How long the faults of a round last, in milliseconds
    #[arg(long, default_value_t = 4000)]
    length: u64,

    /// Play the short list that the tests play, and restore an older database under a live ledger
    #[arg(long)]
    short: bool,

    /// Plant each bug in turn, and fail unless every one of them turns a round red
    #[arg(long)]
    prove: bool,

    /// With --prove: only these bugs
    #[arg(long, value_delimiter = ',')]
    bugs: Vec<String>,

    /// Write the record of the run there, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Keep the logs of red rounds there
    #[arg(long, value_name = "DIR", default_value = "chaos-logs")]
    logs: PathBuf,
}

/// What a long run goes through again and again: each fault as often as it takes to get its numbers in ten times.
const CYCLE: [&[Fault]; 30] = {
    use Fault::{F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11};
    [
        &[F1],
        &[F2],
        &[F3],
        &[F4],
        &[F5],
        &[F6],
        &[F7],
        &[F8],
        &[F10],
        &[F11],
        &[F1],
        &[F2],
        &[F3],
        &[F4],
        &[F5],
        &[F6],
        &[F7],
        &[F8],
        &[F10],
        &[F11],
        &[F1],
        &[F2],
        &[F3],
        &[F5],
        &[F6],
        &[F5],
        &[F5],
        &[F1, F2, F4, F5, F6, F8],
        &[F2, F3, F4, F5],
        &[F9],
    ]
};

/// What the tests play: everything that needs no privileges, two or more at once.
const SHORT: [&[Fault]; 6] = {
    use Fault::{F1, F2, F3, F4, F5, F6, F7, F8, F10, F11};
    [&[F1, F4], &[F2, F5], &[F3, F4], &[F6, F8], &[F10], &[F7, F11]]
};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let run = async { if args.prove { prove(&args).await } else { play(&args).await } };
    let green = tokio::select! {
        green = run => green,
        // What was started is ended when the stage is dropped.
        () = told_to_stop() => Err(anyhow::anyhow!("told to stop")),
    };
    match green {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}\n  next: run it as `make chaos` does, with servers by `shopctl services run`");
            ExitCode::FAILURE
        }
    }
}

async fn told_to_stop() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn installed() -> anyhow::Result<Installed> {
    let variable = |name| std::env::var(name).with_context(|| format!("{name} is not set"));
    Installed::ask(&variable("DATABASE_URL")?, &variable("REDIS_URL")?).await
}

/// The rounds of a run. Those that need small disks come last, on a stage of their own; without the
/// right to mount these, they are left out.
fn plans(args: &Args) -> Vec<Plan> {
    let mut rng = StdRng::seed_from_u64(args.seed);
    let length = Duration::from_millis(args.length);
    let list: Vec<Vec<Fault>> = if args.short {
        SHORT.iter().map(|faults| faults.to_vec()).collect()
    } else if args.faults.is_empty() {
        CYCLE.iter().cycle().take(args.rounds).map(|faults| faults.to_vec()).collect()
    } else {
        vec![args.faults.clone(); args.rounds]
    };
    let mut plans: Vec<Plan> =
        list.into_iter().map(|faults| Plan { seed: u64::from(rng.random::<u32>()), faults, length }).collect();
    plans.sort_by_key(|plan| plan.faults.contains(&Fault::F9));
    if !nix::unistd::Uid::effective().is_root() {
        let before = plans.len();
        plans.retain(|plan| !plan.faults.contains(&Fault::F9));
        if plans.len() < before {
            eprintln!("note: {} rounds of F9 are left out, mounting small disks takes root", before - plans.len());
        }
    }
    // One round is replayed by its own seed.
    if let ([plan], false) = (plans.as_mut_slice(), args.faults.is_empty()) {
        plan.seed = args.seed;
    }
    plans
}

async fn play(args: &Args) -> anyhow::Result<bool> {
    let installed = installed().await?;
    let mut lines = Vec::new();
    let mut stage: Option<(Disks, Arc<Stage>)> = None;
    for (round, plan) in plans(args).into_iter().enumerate() {
        let disks = if plan.faults.contains(&Fault::F9) { Disks::Small } else { Disks::Usual };
        let on = match stage.take().filter(|(of, _)| *of == disks) {
            Some((_, stage)) => stage,
            None => Arc::new(Stage::build(&installed, disks, None).await?),
        };
        let line = one_round(&on, round + 1, &plan, &args.logs).await;
        println!("{}", line.text());
        // What a red round leaves behind would make the next ones red as well.
        stage = line.violations.is_empty().then_some((disks, on));
        lines.push(line);
        if let Some(path) = &args.report {
            fs::write(path, report::markdown(&lines))?;
        }
    }
    let restored = if args.short { restore(&installed, args.seed).await? } else { true };
    let red: Vec<u64> = lines.iter().filter(|line| !line.violations.is_empty()).map(|line| line.seed).collect();
    for (what, value) in report::totals(&lines) {
        println!("{value:>8}  {what}");
    }
    println!("{} rounds, {} red {red:?}", lines.len(), red.len());
    Ok(red.is_empty() && restored)
}

/// Restores an older database under a live ledger; says whether all was well.
async fn restore(installed: &Installed, seed: u64) -> anyhow::Result<bool> {
    let stage = Arc::new(Stage::build(installed, Disks::Usual, None).await?);
    let Restored { refunded, open, violations } = restored::play(&stage, seed).await?;
    let verdict =
        if violations.is_empty() { "green".to_owned() } else { format!("RED: {}", report::first_few(&violations)) };
    println!("restored an older database with {open} open orders: {refunded} forgotten charges went back  {verdict}");
    Ok(violations.is_empty())
}

/// Plays a round. What makes the rig itself fail is a violation as well: it could not look.
async fn one_round(stage: &Arc<Stage>, round: usize, plan: &Plan, logs: &Path) -> Line {
    let tally = Arc::new(Tally::default());
    let (recovery, violations) = match round::play(stage, plan, &tally).await {
        Ok(outcome) => (outcome.recovery, outcome.violations),
        Err(error) => (Duration::ZERO, vec![format!("the rig failed: {error:#}")]),
    };
    if !violations.is_empty()
        && let Err(error) = keep(stage.folder(), &logs.join(format!("seed-{}", plan.seed)))
    {
        eprintln!("the logs cannot be kept: {error}");
    }
    Line { round, seed: plan.seed, faults: plan.faults.clone(), counts: tally.counts(), recovery, violations }
}

/// Copies the logs and the gateway's ledger.
fn keep(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let path = file?.path();
        if path.is_file()
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// The faults under which a planted bug must show itself.
fn faults_for(bug: Bug) -> Vec<Fault> {
    use Bug::{
        AnswerBeforeCommit, CancelIgnoresOpenKey, EnqueueBeforeCommitOnly, FailWithoutVoid, KeyOutsideTransaction,
        NewKeyAfterUnknown, NoReconcile, NoTokenInSettle, PopWithoutLease, StockReleasedTwice, TakeoverOfLiveJobs,
    };
    match bug {
        PopWithoutLease => vec![Fault::F2],
        NoTokenInSettle => vec![Fault::F3],
        EnqueueBeforeCommitOnly | NoReconcile => vec![Fault::F5],
        NewKeyAfterUnknown | FailWithoutVoid | StockReleasedTwice | TakeoverOfLiveJobs | CancelIgnoresOpenKey => {
            vec![Fault::F4]
        }
        KeyOutsideTransaction | AnswerBeforeCommit => vec![Fault::F1],
    }
}

/// Each planted bug must turn a round red that is green without it.
async fn prove(args: &Args) -> anyhow::Result<bool> {
    const TRIES: u64 = 5;
    let installed = installed().await?;
    let mut table = String::from(
        "| planted bug | fault | seed | rounds until red | what the judge said |\n|---|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        if !args.bugs.is_empty() && !args.bugs.iter().any(|name| name == bug.name()) {
            continue;
        }
        let faults = faults_for(bug);
        let mut caught = None;
        for n in 1..=TRIES {
            let plan =
                Plan { seed: args.seed + n - 1, faults: faults.clone(), length: Duration::from_millis(args.length) };
            let stage = Arc::new(Stage::build(&installed, Disks::Usual, Some(bug.name())).await?);
            let tally = Arc::new(Tally::default());
            let outcome = round::play(&stage, &plan, &tally).await?;
            if !outcome.violations.is_empty() {
                caught = Some((n, plan.seed, outcome.violations));
                break;
            }
        }
        let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
        let row = match caught {
            Some((rounds, seed, violations)) => {
                let said = report::first_few(&violations).replace('|', "/");
                format!("| `{}` | {faults} | {seed} | {rounds} | {said} |", bug.name())
            }
            None => {
                missed.push(bug.name());
                format!(
                    "| `{}` | {faults} | {} | {TRIES} | **nothing: the rig is blind to it** |",
                    bug.name(),
                    args.seed
                )
            }
        };
        println!("{row}");
        table.push_str(&row);
        table.push('\n');
        if let Some(path) = &args.report {
            fs::write(path, &table)?;
        }
    }
    println!("{} bugs were missed {missed:?}", missed.len());
    Ok(missed.is_empty())
}
