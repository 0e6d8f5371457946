//! A state of the world, small enough to have millions of it.

use crate::{MAX_ATTEMPTS, Shop};

/// Workers, at most.
pub const WORKERS: usize = 3;
/// Jobs, at most.
pub const JOBS: usize = 2;
/// Jobs in a worker's hand, at most.
pub const PLACES: usize = 2;

/// What a worker has heard of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Said {
    /// Captured.
    Approved,
    /// Declined for good.
    Refused,
    /// Declined, may be retried.
    Declined,
    /// Failed without saying whether money moved.
    Transient,
    /// Nothing.
    Unknown,
    /// The key is dead.
    Voided,
}

impl Said {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Approved, Self::Refused, Self::Declined, Self::Transient, Self::Unknown, Self::Voided];
}

/// A key in the gateway's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Charge {
    /// Never seen, or seen and not decided.
    Open,
    /// A request is on its way and may be captured at any time.
    Flying,
    /// Money has moved.
    Captured,
    /// Declined for good, or a void's tombstone: never to be captured.
    Refused,
    /// Declined, may be retried under another key.
    Declined,
}

/// The row of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// Nobody has it.
    Scheduled,
    /// Its owner has it.
    Running,
    /// Done, the order is COMPLETED.
    Completed,
    /// Over, the order is FAILED.
    Dead,
}

impl Row {
    /// Whether it is over.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Dead)
    }
}

/// A job: its row, its payment, its stock, its charges and its place in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// The state in the table.
    pub row: Row,
    /// Answers of the gateway so far.
    pub attempts: u8,
    /// The payment's charge number, from 0.
    pub charge_no: u8,
    /// Times its stock was given back; more than two count as two.
    pub released: u8,
    /// The gateway's ledger.
    pub charges: [Charge; MAX_ATTEMPTS],
    /// Whether the schedule in Redis has it.
    pub on_schedule: bool,
    /// Whether a lease of it is left over whose worker has forgotten it.
    pub stray_lease: bool,
}

impl Job {
    /// Captured charges.
    pub fn captures(&self) -> usize {
        self.charges.iter().filter(|charge| **charge == Charge::Captured).count()
    }
}

/// How far a worker is with a job in its hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Popped from the schedule.
    Leased,
    /// Its row was taken, with that charge number.
    Taken(u8),
    /// The gateway was asked.
    Charged(u8, Said),
    /// Settled, but Redis does not know; it is to be put back on the schedule, or not.
    Settled {
        /// Whether it is to be done again.
        again: bool,
    },
}

/// A job in a worker's hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// Which job.
    pub job: usize,
    /// How far.
    pub step: Step,
    /// Whether its lease is in Redis.
    pub leased: bool,
    /// Whether the row has its token.
    pub current: bool,
    /// Whether its settlement was written, and the answer lost.
    pub settled: bool,
}

/// Whether a worker moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Life {
    /// It does.
    Awake,
    /// Not now, perhaps never again.
    Paused,
    /// Never again.
    Dead,
}

/// A worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    /// Whether it moves.
    pub life: Life,
    /// Whether its heartbeat is younger than a lease.
    pub heard: bool,
    /// Which running rows name it as their owner.
    pub owns: [bool; JOBS],
    /// What it has in hand.
    pub hand: [Option<Entry>; PLACES],
}

impl Worker {
    /// Whether nobody may take its jobs, and its leases are prolonged.
    pub fn is_well(&self) -> bool {
        self.life == Life::Awake && self.heard
    }
}

/// What must never happen, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Wrongs {
    /// A finished job changed its outcome or became unfinished.
    pub reopened: bool,
    /// One claim was settled twice.
    pub settled_twice: bool,
    /// A job was taken from a worker that was well.
    pub robbed: bool,
}

/// Faults that may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Budget {
    /// Crashes.
    pub crashes: u8,
    /// Pauses.
    pub pauses: u8,
    /// Wipes.
    pub wipes: u8,
    /// Lost answers.
    pub lost_answers: u8,
}

/// A state of the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct World {
    /// The jobs.
    pub jobs: [Job; JOBS],
    /// The workers.
    pub workers: [Worker; WORKERS],
    /// What must never happen.
    pub wrongs: Wrongs,
    /// What may still happen.
    pub budget: Budget,
}

impl World {
    /// Whether all jobs are over.
    pub fn is_done(&self) -> bool {
        self.jobs.iter().all(|job| job.row.is_finished())
    }

    /// All entries in hand, and who has them.
    pub fn entries(&self) -> impl Iterator<Item = (&Worker, &Entry)> {
        self.workers.iter().flat_map(|worker| worker.hand.iter().flatten().map(move |entry| (worker, entry)))
    }

    /// Forgets what nobody will look at any more, and sorts workers and jobs, so that states that
    /// cannot be told apart are one.
    pub(crate) fn normal(mut self, shop: &Shop) -> Self {
        for worker in &mut self.workers {
            let (well, hand) = (worker.is_well(), &mut worker.hand);
            for place in hand.iter_mut() {
                if let Some(entry) = place {
                    entry.forget(&self.jobs[entry.job], shop);
                    let safe = well && self.budget.crashes == 0 && self.budget.pauses == 0;
                    // Letting go would change nothing, or nothing that anybody sees before it happens.
                    if entry.step == (Step::Settled { again: false }) && (safe || !entry.leased) {
                        *place = None;
                    }
                }
            }
            hand.sort_unstable();
        }
        for number in 0..JOBS {
            self.forget_job(number);
        }
        for worker in &mut self.workers {
            if worker.life == Life::Dead && worker.owns == [false; JOBS] {
                worker.heard = false;
            }
        }
        let mut other = self.clone();
        self.workers.sort_unstable();
        other.jobs.reverse();
        for worker in &mut other.workers {
            worker.owns.reverse();
            worker.hand.iter_mut().flatten().for_each(|entry| entry.job = JOBS - 1 - entry.job);
            worker.hand.sort_unstable();
        }
        other.workers.sort_unstable();
        self.min(other)
    }

    fn forget_job(&mut self, number: usize) {
        let charging = self.entries().any(|(_, entry)| entry.job == number && matches!(entry.step, Step::Taken(_)));
        let job = &mut self.jobs[number];
        if job.row != Row::Running {
            self.workers.iter_mut().for_each(|worker| worker.owns[number] = false);
        }
        if job.row.is_finished() {
            (job.attempts, job.charge_no) = (0, 0);
            // Nobody is left who could ask for one of its keys.
            if !charging && !job.charges.contains(&Charge::Flying) {
                job.charges.sort_unstable_by_key(|charge| *charge != Charge::Captured);
                let undecided = job.charges.iter_mut().filter(|charge| **charge != Charge::Captured);
                undecided.for_each(|charge| *charge = Charge::Refused);
            }
        }
    }
}

impl Entry {
    fn forget(&mut self, job: &Job, shop: &Shop) {
        match self.step {
            // It will be fenced, whatever it has heard.
            Step::Charged(..) if shop.rules.settles_by_token && !self.current => {
                self.step = Step::Settled { again: false };
            }
            Step::Charged(no, said) if self.current && !self.settled => {
                self.step = Step::Charged(no, shop.alike(said, job.attempts));
            }
            _ => {}
        }
        if matches!(self.step, Step::Settled { .. }) {
            (self.current, self.settled) = (false, false);
        }
    }
}
