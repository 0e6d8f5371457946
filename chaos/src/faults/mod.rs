//! The nemesis: what goes wrong, when, and how often.

mod clients;
mod gateway;
mod migrations;
mod network;
mod processes;
mod servers;
mod sockets;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::driver::Load;
use crate::stage::Stage;

/// The kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Fault {
    /// `kill -9` of an api, at every named step of placement and at random
    F1,
    /// `kill -9` of a worker, at every named step of a job and at random
    F2,
    /// A worker that stands still for longer than its lease, and goes on
    F3,
    /// A gateway that charges and does not say so, fails, hangs, refuses, or is down
    F4,
    /// Redis: wiped, killed, restarted empty, out of memory, with a wrong eviction policy
    F5,
    /// PostgreSQL: stopped at once and restarted, backends killed, answers to COMMIT lost
    F6,
    /// Clients that hang up, and SIGTERM under load
    F7,
    /// A network that is cut, one way or both, or slow
    F8,
    /// Full disks of both servers
    F9,
    /// Poison jobs, and a gateway that is down for an hour of compressed time
    F10,
    /// Two migrations at once, killed in the middle; a schema that is ahead of the programs
    F11,
    /// Crowds of sockets that come back at once, and sockets that never read
    F12,
}

impl Fault {
    /// What the settings of the workers have to be for it, besides the usual ones.
    pub fn settings(self) -> Vec<(&'static str, String)> {
        match self {
            Self::F10 => gateway::compressed_time(),
            _ => Vec::new(),
        }
    }

    /// What is counted when it happened: a round in which none of it did has tested nothing.
    pub fn evidence(self) -> &'static [&'static str] {
        match self {
            Self::F1 => &["api kills at a step"],
            Self::F2 => &["worker kills at a step"],
            Self::F3 => &["pauses"],
            Self::F4 => &["ambiguous charges"],
            Self::F5 => &["wipes", "Redis kills", "Redis out of memory", "wrong eviction policies"],
            Self::F6 => &["PostgreSQL restarts", "backends killed", "backends terminated", "answers to COMMIT lost"],
            Self::F7 => &["hang-ups whose order was decided"],
            Self::F8 => &["cuts", "slow networks"],
            Self::F9 => &["disks filled"],
            Self::F10 => &["poison jobs"],
            Self::F11 => &["migrations killed"],
            Self::F12 => &["sockets that came back"],
        }
    }

    /// Whether it takes twice as long as others to happen often enough: a worker stands still for longer
    /// than its lease, a Redis takes its time to come back, a crowd is let in bit by bit.
    pub fn takes_long(self) -> bool {
        matches!(self, Self::F3 | Self::F5 | Self::F12)
    }

    /// Whether a worker loses its life, its connections, or the processor to a crowd by it. Where none does, no job may be taken
    /// from one.
    pub fn takes_workers(self) -> bool {
        !matches!(self, Self::F1 | Self::F4 | Self::F5 | Self::F7)
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How often what went wrong.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    /// Counts something.
    pub fn add(&self, what: &'static str, times: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += times;
    }

    /// Keeps the largest of something.
    pub fn most(&self, what: &'static str, value: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = counts.entry(what).or_default();
        *most = value.max(*most);
    }

    /// All counts.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Where faults are injected, and for how long.
#[derive(Clone)]
pub struct Scene {
    /// The shop.
    pub stage: Arc<Stage>,
    /// Its customers.
    pub load: Load,
    /// What is counted.
    pub tally: Arc<Tally>,
    /// When the faults stop.
    pub until: Instant,
    /// Whether this is the only fault of the round, so that its own limits hold.
    pub alone: bool,
}

impl Scene {
    /// Whether there is time for more.
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }
}

/// Injects faults of one kind until it is time.
///
/// # Errors
/// When the rig itself fails. What the shop does wrong goes into the journal.
pub async fn inject(fault: Fault, scene: Scene, seed: u64) -> anyhow::Result<()> {
    let rng = StdRng::seed_from_u64(seed);
    match fault {
        Fault::F1 => processes::kill_apis(scene, rng).await,
        Fault::F2 => processes::kill_workers(scene, rng).await,
        Fault::F3 => processes::pause_workers(scene, rng).await,
        Fault::F4 => gateway::misbehave(scene, rng).await,
        Fault::F5 => servers::spoil_redis(scene, rng).await,
        Fault::F6 => servers::break_postgres(scene, rng).await,
        Fault::F7 => clients::hang_up(scene, rng).await,
        Fault::F8 => network::spoil(scene, rng).await,
        Fault::F9 => servers::fill_disks(scene, rng).await,
        Fault::F10 => gateway::poison_and_outage(scene, rng).await,
        Fault::F11 => migrations::race(scene, rng).await,
        Fault::F12 => sockets::crowd(scene, rng).await,
    }
}
