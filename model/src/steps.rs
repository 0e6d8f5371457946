//! What can happen in a state, and what it comes to.

use stateright::{Model, Property};

use crate::effects::{is_takeable, take};
use crate::state::{Budget, Charge, Entry, JOBS, Job, Life, PLACES, Row, Step, WORKERS, Worker, World, Wrongs};
use crate::{MAX_ATTEMPTS, Rules, Shop, properties};

/// How the gateway answers a charge that it has not decided yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Money moves.
    Captures,
    /// Never.
    Refuses,
    /// Not now, but a new charge may go better.
    Declines,
    /// An error.
    Fails,
    /// No answer, and the charge is on its way. Of a charge that is decided: no answer.
    Silence,
}

/// How the gateway answers a void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidReply {
    /// It says what the key is now.
    Answers,
    /// It does it and does not say so.
    DoneInSilence,
    /// It does not hear it.
    Silence,
}

/// Something that happens. Workers, jobs and places go by their number in the state in which it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the parts are always worker, then job or place")]
pub enum Action {
    /// `claim.lua`: a job goes from the schedule into a worker's hand.
    Claim { worker: usize, job: usize },
    /// `ledger::take`, and dropping what cannot be taken.
    Take { worker: usize, place: usize },
    /// The same, and the answer is lost.
    TakeUnanswered { worker: usize, place: usize },
    /// The gateway is asked to charge (and to say what became of it).
    Charge { worker: usize, place: usize, reply: Reply },
    /// The gateway is asked to void.
    GiveUp { worker: usize, place: usize, reply: VoidReply },
    /// The outcome becomes the end of an order, or another try.
    Settle { worker: usize, place: usize },
    /// The same, and the answer is lost.
    SettleUnanswered { worker: usize, place: usize },
    /// `ack` or `release.lua`.
    LetGo { worker: usize, place: usize },
    /// A heartbeat.
    Beat { worker: usize },
    /// `ledger::disown`.
    Disown { worker: usize, job: usize },
    /// `reap.lua`, of the lease of an entry in hand.
    Reap { worker: usize, place: usize },
    /// `reap.lua`, of a lease that nobody remembers.
    ReapStray { job: usize },
    /// `reconcile.rs`.
    Reconcile { job: usize },
    /// The heartbeat of a worker that does not move is a lease old.
    GrowSilent { worker: usize },
    /// A charge that was on its way is captured.
    Land { job: usize, charge_no: usize },
    /// A worker that stood still moves again.
    Resume { worker: usize },
    /// A worker stands still.
    Pause { worker: usize },
    /// A worker dies.
    Crash { worker: usize },
    /// Redis is emptied.
    Wipe,
}

impl Action {
    /// Whether the shop can do without: it is a fault, the end of one, or somebody else's doing.
    pub fn is_chance(self) -> bool {
        matches!(
            self,
            Self::TakeUnanswered { .. }
                | Self::SettleUnanswered { .. }
                | Self::Land { .. }
                | Self::Resume { .. }
                | Self::Pause { .. }
                | Self::Crash { .. }
                | Self::Wipe
        ) || matches!(self, Self::Charge { reply: Reply::Silence, .. })
            || matches!(self, Self::GiveUp { reply: VoidReply::DoneInSilence | VoidReply::Silence, .. })
    }
}

impl Shop {
    fn entry_actions(&self, world: &World, worker: usize, place: usize, entry: Entry, actions: &mut Vec<Action>) {
        let lost_answers = world.budget.lost_answers > 0;
        match entry.step {
            Step::Leased => {
                actions.push(Action::Take { worker, place });
                if lost_answers && is_takeable(world, entry.job, self.rules) {
                    actions.push(Action::TakeUnanswered { worker, place });
                }
            }
            Step::Taken(no) => {
                let mut charge = |reply| actions.push(Action::Charge { worker, place, reply });
                let job = &world.jobs[entry.job];
                // On its last attempt a failure is no outcome: the handler voids at once, which is below.
                let last = usize::from(job.attempts) + 1 >= MAX_ATTEMPTS;
                charge(Reply::Captures);
                if matches!(job.charges[usize::from(no)], Charge::Open | Charge::Flying) {
                    charge(Reply::Refuses);
                    charge(Reply::Declines);
                    if !last {
                        charge(Reply::Fails);
                    }
                }
                charge(Reply::Silence);
                for reply in [VoidReply::Answers, VoidReply::DoneInSilence, VoidReply::Silence] {
                    actions.push(Action::GiveUp { worker, place, reply });
                }
            }
            Step::Charged(..) => {
                actions.push(Action::Settle { worker, place });
                if lost_answers && entry.current && !entry.settled {
                    actions.push(Action::SettleUnanswered { worker, place });
                }
            }
            Step::Settled { .. } => actions.push(Action::LetGo { worker, place }),
        }
    }

    fn worker_actions(&self, world: &World, number: usize, actions: &mut Vec<Action>) {
        let worker = &world.workers[number];
        for (place, entry) in worker.hand.iter().enumerate() {
            let Some(entry) = *entry else { continue };
            if entry.leased && !worker.is_well() {
                actions.push(Action::Reap { worker: number, place });
            }
            if worker.life == Life::Awake {
                self.entry_actions(world, number, place, entry, actions);
            }
        }
        if worker.life != Life::Awake {
            if worker.heard {
                actions.push(Action::GrowSilent { worker: number });
            }
            if worker.life == Life::Paused {
                actions.push(Action::Resume { worker: number });
            }
        } else {
            if worker.hand.iter().flatten().count() < self.bounds.places {
                let due = (0..JOBS).filter(|job| world.jobs[*job].on_schedule);
                actions.extend(due.map(|job| Action::Claim { worker: number, job }));
            }
            if !worker.heard {
                actions.push(Action::Beat { worker: number });
            } else if self.rules.disowns {
                let lost = |job: &usize| {
                    worker.owns[*job] && !worker.hand.iter().flatten().any(|entry| entry.job == *job && entry.current)
                };
                actions.extend((0..JOBS).filter(lost).map(|job| Action::Disown { worker: number, job }));
            }
            if world.budget.pauses > 0 {
                actions.push(Action::Pause { worker: number });
            }
        }
        if worker.life != Life::Dead && world.budget.crashes > 0 {
            actions.push(Action::Crash { worker: number });
        }
    }
}

impl Model for Shop {
    type State = World;
    type Action = Action;

    /// Every order is committed, and its enqueue arrived or did not.
    fn init_states(&self) -> Vec<World> {
        let fresh = Job {
            row: Row::Scheduled,
            attempts: 0,
            charge_no: 0,
            released: 0,
            charges: [Charge::Open; MAX_ATTEMPTS],
            on_schedule: true,
            stray_lease: false,
        };
        let over = Job { row: Row::Dead, released: 1, on_schedule: false, ..fresh };
        let well = Worker { life: Life::Awake, heard: true, owns: [false; JOBS], hand: [None; PLACES] };
        let nobody = Worker { life: Life::Dead, heard: false, ..well };
        let bounds = &self.bounds;
        let world = World {
            jobs: std::array::from_fn(|n| if n < bounds.jobs { fresh } else { over }),
            workers: std::array::from_fn(|n| if n < bounds.workers { well } else { nobody }),
            wrongs: Wrongs::default(),
            budget: Budget {
                crashes: bounds.crashes,
                pauses: bounds.pauses,
                wipes: bounds.wipes,
                lost_answers: bounds.lost_answers,
            },
        };
        let mut worlds = vec![world.clone().normal(self)];
        if self.rules.reconciles_due {
            for lost in 1..=bounds.jobs {
                let mut world = world.clone();
                world.jobs[..lost].iter_mut().for_each(|job| job.on_schedule = false);
                worlds.push(world.normal(self));
            }
        }
        worlds
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        // Workers that cannot be told apart do the same: one of them is enough.
        for number in 0..WORKERS {
            if number == 0 || world.workers[number] != world.workers[number - 1] {
                self.worker_actions(world, number, actions);
            }
        }
        for (number, job) in world.jobs.iter().enumerate() {
            if job.stray_lease {
                actions.push(Action::ReapStray { job: number });
            }
            let lost = match job.row {
                Row::Scheduled => self.rules.reconciles_due,
                Row::Running => self.rules.reconciles_orphans && is_takeable(world, number, Rules::KEPT),
                Row::Completed | Row::Dead => false,
            };
            if lost && !job.on_schedule {
                actions.push(Action::Reconcile { job: number });
            }
            let flying = job.charges.iter().enumerate().filter(|(_, charge)| **charge == Charge::Flying);
            actions.extend(flying.map(|(charge_no, _)| Action::Land { job: number, charge_no }));
        }
        if world.budget.wipes > 0 {
            actions.push(Action::Wipe);
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        let entry_of = |worker: usize, place: usize| before.workers[worker].hand[place];
        match action {
            Action::Claim { worker, job } => {
                let place = before.workers[worker].hand.iter().position(Option::is_none)?;
                let leased = self.rules.leases;
                world.jobs[job].on_schedule = false;
                world.workers[worker].hand[place] =
                    Some(Entry { job, step: Step::Leased, leased, current: false, settled: false });
            }
            Action::Take { worker, place } => {
                let entry = entry_of(worker, place)?;
                // A row that cannot be taken is done, or in good hands: its lease is dropped.
                world.workers[worker].hand[place] = if is_takeable(before, entry.job, self.rules) {
                    Some(take(&mut world, worker, entry))
                } else {
                    None
                };
            }
            Action::TakeUnanswered { worker, place } => {
                let entry = entry_of(worker, place)?;
                take(&mut world, worker, entry);
                world.workers[worker].hand[place] = None;
                world.jobs[entry.job].on_schedule = true;
                world.budget.lost_answers -= 1;
            }
            Action::Charge { worker, place, reply } => {
                let entry = self.charge(&mut world, entry_of(worker, place)?, reply);
                world.workers[worker].hand[place] = Some(entry);
            }
            Action::GiveUp { worker, place, reply } => {
                let entry = self.give_up(&mut world, entry_of(worker, place)?, reply);
                world.workers[worker].hand[place] = Some(entry);
            }
            Action::Settle { worker, place } => {
                let entry = self.settle(&mut world, entry_of(worker, place)?, false);
                world.workers[worker].hand[place] = Some(entry);
            }
            Action::SettleUnanswered { worker, place } => {
                let entry = self.settle(&mut world, entry_of(worker, place)?, true);
                world.workers[worker].hand[place] = Some(entry);
                world.budget.lost_answers -= 1;
            }
            Action::LetGo { worker, place } => {
                let entry = entry_of(worker, place)?;
                world.jobs[entry.job].on_schedule |= entry.step == Step::Settled { again: true };
                world.workers[worker].hand[place] = None;
            }
            Action::Beat { worker } => world.workers[worker].heard = true,
            Action::Disown { worker, job } => {
                world.workers[worker].owns[job] = false;
                world.jobs[job].row = Row::Scheduled;
            }
            Action::Reap { worker, place } => {
                let entry = entry_of(worker, place)?;
                world.workers[worker].hand[place] = Some(Entry { leased: false, ..entry });
                world.jobs[entry.job].on_schedule = true;
            }
            Action::ReapStray { job } => {
                world.jobs[job].stray_lease = false;
                world.jobs[job].on_schedule = true;
            }
            Action::Reconcile { job } => world.jobs[job].on_schedule = true,
            Action::GrowSilent { worker } => world.workers[worker].heard = false,
            Action::Land { job, charge_no } => world.jobs[job].charges[charge_no] = Charge::Captured,
            Action::Resume { worker } => world.workers[worker].life = Life::Awake,
            Action::Pause { worker } => {
                world.workers[worker].life = Life::Paused;
                world.budget.pauses -= 1;
            }
            Action::Crash { worker } => {
                let dead = &mut world.workers[worker];
                dead.life = Life::Dead;
                for entry in std::mem::take(&mut dead.hand).into_iter().flatten() {
                    world.jobs[entry.job].stray_lease |= entry.leased;
                }
                world.budget.crashes -= 1;
            }
            Action::Wipe => {
                for job in &mut world.jobs {
                    (job.on_schedule, job.stray_lease) = (false, false);
                }
                for entry in world.workers.iter_mut().flat_map(|worker| worker.hand.iter_mut().flatten()) {
                    entry.leased = false;
                }
                world.budget.wipes -= 1;
            }
        }
        Some(world.normal(self))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
