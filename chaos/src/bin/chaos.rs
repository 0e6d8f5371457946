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
use shop_chaos::journal::Journal;
use shop_chaos::oracle::Case;
use shop_chaos::report::{self, Line};
use shop_chaos::restored::{self, Restored};
use shop_chaos::round::{self, Outcome, Plan};
use shop_chaos::stage::servers::Installed;
use shop_chaos::stage::{Disks, Stage};
use shop_common::chaos::Bug;
use shop_common::files;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

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

/// Rounds on one stage. What they leave behind has to be judged with every further one.
const STAGE_ROUNDS: usize = 40;

/// What a long run goes through again and again: each fault as often as it takes to get its numbers in ten times.
const CYCLE: [&[Fault]; 31] = {
    use Fault::{F1, F2, F3, F4, F5, F6, F7, F8, F9, F10, F11, F12};
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
        &[F4],
        &[F8],
        &[F10],
        &[F11],
        &[F3],
        &[F2],
        &[F3],
        &[F5],
        &[F6],
        &[F5],
        &[F5],
        &[F1, F2, F4, F5, F6, F8],
        &[F3, F4, F5, F8],
        &[F12],
        &[F9],
    ]
};

/// What the tests play: everything that needs no privileges, two or more at once.
const SHORT: [&[Fault]; 8] = {
    use Fault::{F1, F2, F3, F4, F5, F6, F7, F8, F10, F11, F12};
    [&[F1, F4], &[F2, F5], &[F3, F4], &[F6, F8], &[F10], &[F7], &[F4, F11], &[F12]]
};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    files::allow_many();
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
    let (mut lines, mut late) = (Vec::new(), Vec::new());
    let mut stage: Option<(Disks, Arc<Stage>)> = None;
    for (round, plan) in plans(args).into_iter().enumerate() {
        let disks = if plan.faults.contains(&Fault::F9) { Disks::Small } else { Disks::Usual };
        let on = match stage.take() {
            Some((of, stage)) if of == disks && round % STAGE_ROUNDS != 0 => stage,
            before => {
                if let Some((_, stage)) = before {
                    late.extend(whole(&stage).await);
                }
                Arc::new(Stage::build(&installed, disks, None).await?)
            }
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
    if let Some((_, stage)) = stage {
        late.extend(whole(&stage).await);
    }
    let restored = if args.short { restore(&installed, args.seed).await? } else { true };
    let red: Vec<u64> = lines.iter().filter(|line| !line.violations.is_empty()).map(|line| line.seed).collect();
    for (what, value) in report::totals(&lines) {
        println!("{value:>8}  {what}");
    }
    let verdict = if late.is_empty() { "green".to_owned() } else { format!("RED: {}", report::first_few(&late)) };
    println!("everything together, judged once more: {verdict}");
    println!("{} rounds, {} red {red:?}", lines.len(), red.len());
    Ok(red.is_empty() && late.is_empty() && restored)
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

async fn one_round(stage: &Arc<Stage>, round: usize, plan: &Plan, logs: &Path) -> Line {
    let tally = Arc::new(Tally::default());
    let Outcome { recovery, violations } = round::play(stage, plan, &tally).await;
    if !violations.is_empty()
        && let Err(error) = keep(stage.folder(), &logs.join(format!("seed-{}", plan.seed)))
    {
        eprintln!("the logs cannot be kept: {error}");
    }
    Line { round, seed: plan.seed, faults: plan.faults.clone(), counts: tally.counts(), recovery, violations }
}

/// Judges everything that ever happened on a stage: what came too late for the judge of its round as well.
async fn whole(stage: &Stage) -> Vec<String> {
    let case = Case { stage, journal: &Journal::default(), since: Uuid::nil(), faults: &[], tally: &Tally::default() };
    case.judge().await.unwrap_or_else(|error| vec![format!("the rig failed: {error:#}")])
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

/// The faults under which a planted bug must show itself, and how what the judge says of it begins.
fn shows(bug: Bug) -> (Fault, &'static [&'static str]) {
    use Bug::{
        AnswerBeforeCommit, CancelIgnoresOpenKey, EnqueueBeforeCommitOnly, FailWithoutVoid, KeyOutsideTransaction,
        NewKeyAfterUnknown, NoReconcile, NoTokenInSettle, PopWithoutLease, StockReleasedTwice, TakeoverOfLiveJobs,
    };
    match bug {
        PopWithoutLease => (Fault::F2, &["F2", "I3"]),
        NoTokenInSettle => (Fault::F3, &["I1", "I7 order"]),
        EnqueueBeforeCommitOnly | NoReconcile => (Fault::F5, &["F5", "I3"]),
        StockReleasedTwice => (Fault::F4, &["I1"]),
        TakeoverOfLiveJobs => (Fault::F4, &["jobs were taken"]),
        NewKeyAfterUnknown | FailWithoutVoid | CancelIgnoresOpenKey => (Fault::F4, &["I2"]),
        KeyOutsideTransaction => (Fault::F1, &["I5"]),
        AnswerBeforeCommit => (Fault::F1, &["I6", "I5"]),
    }
}

/// Each planted bug must turn a round red that is green without it, and for the reason that it is.
async fn prove(args: &Args) -> anyhow::Result<bool> {
    const TRIES: u64 = 5;
    if let Some(unknown) = args.bugs.iter().find(|name| Bug::ALL.iter().all(|bug| bug.name() != *name)) {
        anyhow::bail!("there is no bug {unknown}, only {}", Bug::ALL.map(Bug::name).join(", "));
    }
    let installed = installed().await?;
    let mut table = String::from(
        "| planted bug | fault | seed | rounds until red | what the judge said | the same round without it |\n|---|---|---|---|---|---|\n",
    );
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        if !args.bugs.is_empty() && !args.bugs.iter().any(|name| name == bug.name()) {
            continue;
        }
        let (fault, signs) = shows(bug);
        let mut row =
            format!("| `{}` | {fault} | {} | {TRIES} | **nothing: the rig is blind to it** | |", bug.name(), args.seed);
        let mut caught = false;
        for n in 0..TRIES {
            let plan = Plan { seed: args.seed + n, faults: vec![fault], length: Duration::from_millis(args.length) };
            let said = on_a_fresh_stage(&installed, &plan, Some(bug)).await?;
            let said: Vec<String> =
                said.into_iter().filter(|said| signs.iter().any(|sign| said.contains(sign))).collect();
            if said.is_empty() {
                continue;
            }
            let without = on_a_fresh_stage(&installed, &plan, None).await?;
            caught = without.is_empty();
            let without = if caught { "green".to_owned() } else { format!("RED: {}", report::first_few(&without)) };
            let said = report::first_few(&said);
            row = format!("| `{}` | {fault} | {} | {} | {said} | {without} |", bug.name(), plan.seed, n + 1);
            break;
        }
        if !caught {
            missed.push(bug.name());
        }
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

/// What the judge says of a round on a shop of its own.
async fn on_a_fresh_stage(installed: &Installed, plan: &Plan, bug: Option<Bug>) -> anyhow::Result<Vec<String>> {
    let stage = Arc::new(Stage::build(installed, Disks::Usual, bug.map(Bug::name)).await?);
    let outcome = round::play(&stage, plan, &Arc::new(Tally::default())).await;
    Ok(outcome.violations)
}
