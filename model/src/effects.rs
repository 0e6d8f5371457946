//! What a worker's steps come to: in the table, and in the gateway's ledger.

use crate::state::{Charge, Entry, Row, Said, Step, World};
use crate::steps::{Reply, VoidReply};
use crate::{MAX_ATTEMPTS, Rules, Shop, Verdict};

impl Shop {
    /// What follows from what a worker has heard.
    pub(crate) fn settle(&self, world: &mut World, mut entry: Entry, lost_answer: bool) -> Entry {
        let (number, Step::Charged(_, said)) = (entry.job, entry.step) else { return entry };
        let job = &mut world.jobs[number];
        if self.rules.settles_by_token && !entry.current {
            entry.step = Step::Settled { again: false };
            return entry;
        }
        if job.row == Row::Running || !self.rules.settles_running_only {
            let before = job.row;
            let (verdict, attempts) = self.verdict(said, job.attempts);
            job.attempts = attempts;
            job.row = match verdict {
                Verdict::Complete => Row::Completed,
                Verdict::Fail => {
                    job.released = (job.released + 1).min(2);
                    Row::Dead
                }
                Verdict::Again { new_charge } => {
                    let no = usize::from(job.charge_no) + usize::from(new_charge);
                    job.charge_no = u8::try_from(no.min(MAX_ATTEMPTS - 1)).unwrap_or(u8::MAX);
                    Row::Scheduled
                }
            };
            world.wrongs.reopened |= before.is_finished() && job.row != before;
            world.wrongs.settled_twice |= entry.settled;
            entry.settled = true;
        }
        if !lost_answer {
            entry.step = Step::Settled { again: job.row == Row::Scheduled };
        }
        entry
    }

    /// The gateway's ledger decides once.
    pub(crate) fn charge(&self, world: &mut World, mut entry: Entry, reply: Reply) -> Entry {
        let Step::Taken(no) = entry.step else { return entry };
        let charge = &mut world.jobs[entry.job].charges[usize::from(no)];
        let decided = !matches!(*charge, Charge::Open | Charge::Flying);
        if !decided {
            *charge = match reply {
                Reply::Captures => Charge::Captured,
                Reply::Refuses => Charge::Refused,
                Reply::Declines => Charge::Declined,
                Reply::Fails => *charge,
                Reply::Silence => Charge::Flying,
            };
        }
        let said = match (reply, *charge) {
            (Reply::Silence, _) => Said::Unknown,
            (_, Charge::Captured) => Said::Approved,
            (_, Charge::Refused) => Said::Refused,
            (_, Charge::Declined) => Said::Declined,
            (_, Charge::Open | Charge::Flying) => Said::Transient,
        };
        entry.step = Step::Charged(no, said);
        entry
    }

    /// The gateway's ledger refuses for ever, unless money has moved.
    pub(crate) fn give_up(&self, world: &mut World, mut entry: Entry, reply: VoidReply) -> Entry {
        let Step::Taken(no) = entry.step else { return entry };
        let charge = &mut world.jobs[entry.job].charges[usize::from(no)];
        let said = if self.rules.voids {
            if reply != VoidReply::Silence && *charge != Charge::Captured {
                *charge = Charge::Refused;
            }
            match (reply, *charge) {
                (VoidReply::Answers, Charge::Captured) => Said::Approved,
                (VoidReply::Answers, _) => Said::Voided,
                _ => Said::Unknown,
            }
        } else {
            Said::Voided
        };
        entry.step = Step::Charged(no, said);
        entry
    }
}

/// Whether the table lets a worker take a job.
pub(crate) fn is_takeable(world: &World, job: usize, rules: Rules) -> bool {
    let in_good_hands = || world.workers.iter().any(|worker| worker.owns[job] && worker.heard);
    match world.jobs[job].row {
        Row::Scheduled => true,
        Row::Running => !rules.asks_heartbeat || !in_good_hands(),
        Row::Completed | Row::Dead => !rules.refuses_finished,
    }
}

/// Takes a row: its token is now the entry's, and no other's.
pub(crate) fn take(world: &mut World, number: usize, mut entry: Entry) -> Entry {
    let (job, row) = (entry.job, world.jobs[entry.job].row);
    world.wrongs.reopened |= row.is_finished();
    for worker in &mut world.workers {
        let mut had = false;
        for other in worker.hand.iter_mut().flatten().filter(|other| other.job == job) {
            had |= other.current;
            other.current = false;
        }
        world.wrongs.robbed |= row == Row::Running && had && worker.is_well();
        worker.owns[job] = false;
    }
    world.workers[number].owns[job] = true;
    let taken = &mut world.jobs[job];
    taken.row = Row::Running;
    (entry.step, entry.current) = (Step::Taken(taken.charge_no), true);
    entry
}
