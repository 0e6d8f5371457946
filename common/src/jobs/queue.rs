//! The schedule in Redis: which job is due when, and who has which lease.
//!
//! Two sorted sets: `sched` (member job id, score due time) and `lease` (member
//! `job id:token`, score deadline), times in milliseconds of Redis' own clock. A
//! lease is acknowledged by removing its very member, so a late worker cannot
//! remove somebody else's. Nothing here is the only copy of anything.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{AsyncCommands, RedisResult, Script};

use super::Token;
use crate::id::{BootId, JobId};
use crate::redis::Redis;

static SCHEDULE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/schedule.lua")));
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/claim.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/release.lua")));
static EXTEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/extend.lua")));
static REAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/reap.lua")));

/// Jobs that one script call moves, at most: a script stops the whole of Redis while it runs.
pub const CHUNK: usize = 1000;

/// The channel on which workers hear that there is something to do.
pub const WAKE: &str = "wake";

/// A job and the proof that it is ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The proof.
    pub token: Token,
}

impl Lease {
    fn member(&self) -> String {
        format!("{}:{}", self.job, self.token.as_str())
    }
}

/// What a claim brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Jobs that were due.
    pub leases: Vec<Lease>,
    /// How long until the next job is due, if any is scheduled.
    pub next_due: Option<Duration>,
}

/// How much is where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Jobs on the schedule.
    pub scheduled: u64,
    /// Jobs under a lease.
    pub leased: u64,
}

/// One of the two sorted sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Jobs that wait for their time.
    Schedule,
    /// Jobs under a lease.
    Leases,
}

/// The job that a member of either set names, if it is one of ours.
pub(super) fn job_of(member: &str) -> Option<JobId> {
    let (job, _) = member.split_once(':').unwrap_or((member, ""));
    job.parse().ok()
}

/// The schedule.
#[derive(Clone)]
pub struct Queue {
    redis: Redis,
    sched: String,
    lease: String,
    wake: String,
}

impl Queue {
    /// The schedule in that Redis.
    pub fn new(redis: Redis) -> Self {
        let (sched, lease, wake) = (redis.key("sched"), redis.key("lease"), redis.key(WAKE));
        Self { redis, sched, lease, wake }
    }

    /// Schedules jobs for now and wakes the workers up.
    ///
    /// # Errors
    /// When Redis is away; the reconciler makes it good.
    pub async fn enqueue(&self, jobs: &[JobId]) -> RedisResult<()> {
        let now: Vec<_> = jobs.iter().map(|job| (*job, Duration::ZERO)).collect();
        self.schedule(&now).await?;
        self.redis.connection().publish(&self.wake, jobs.len()).await
    }

    /// Schedules jobs, each after its delay; one that is scheduled already is never made
    /// later. Gives how many were added or made earlier.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn schedule(&self, jobs: &[(JobId, Duration)]) -> RedisResult<usize> {
        let mut added = 0;
        for chunk in jobs.chunks(CHUNK) {
            let mut call = SCHEDULE.prepare_invoke();
            call.key(&self.sched);
            for (job, delay) in chunk {
                call.arg(job.to_string()).arg(milliseconds(*delay));
            }
            added += call.invoke_async::<usize>(&mut self.redis.connection()).await?;
        }
        Ok(added)
    }

    /// Takes jobs that are due, at most so many (and at most [`CHUNK`]), under a
    /// lease. The tokens are numbered from `first` on.
    ///
    /// # Errors
    /// When Redis is away. If only the answer got lost, the leases run out and the jobs come back.
    pub async fn claim(&self, limit: usize, lease: Duration, boot: BootId, first: u64) -> RedisResult<Claimed> {
        let (ids, wait): (Vec<String>, i64) = CLAIM
            .key(&self.sched)
            .key(&self.lease)
            .arg(limit.min(CHUNK))
            .arg(milliseconds(lease))
            .arg(boot.to_string())
            .arg(first)
            .invoke_async(&mut self.redis.connection())
            .await?;
        let leases = (first..)
            .zip(ids)
            // A member that is no id was not put there by us, and nobody can do it.
            .filter_map(|(number, id)| Some(Lease { job: id.parse().ok()?, token: Token::new(boot, number) }))
            .collect();
        Ok(Claimed { leases, next_due: u64::try_from(wait).ok().map(Duration::from_millis) })
    }

    /// Gives up leases whose jobs are done.
    ///
    /// # Errors
    /// When Redis is away; the leases run out, and the ledger knows that the jobs are done.
    pub async fn ack(&self, leases: &[Lease]) -> RedisResult<()> {
        if leases.is_empty() {
            return Ok(());
        }
        let members: Vec<String> = leases.iter().map(Lease::member).collect();
        self.redis.connection().zrem(&self.lease, members).await
    }

    /// Gives up leases whose jobs are to be done later, each after its delay.
    ///
    /// # Errors
    /// When Redis is away; the reconciler makes it good.
    pub async fn release(&self, leases: &[(Lease, Duration)]) -> RedisResult<()> {
        for chunk in leases.chunks(CHUNK) {
            let mut call = RELEASE.prepare_invoke();
            call.key(&self.sched).key(&self.lease);
            for (lease, delay) in chunk {
                call.arg(lease.job.to_string()).arg(lease.token.as_str()).arg(milliseconds(*delay));
            }
            let _: i64 = call.invoke_async(&mut self.redis.connection()).await?;
        }
        Ok(())
    }

    /// Prolongs leases of jobs that are still in hand.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn extend(&self, leases: &[Lease], by: Duration) -> RedisResult<()> {
        for chunk in leases.chunks(CHUNK) {
            let mut call = EXTEND.prepare_invoke();
            call.key(&self.lease).arg(milliseconds(by));
            for lease in chunk {
                call.arg(lease.member());
            }
            let _: i64 = call.invoke_async(&mut self.redis.connection()).await?;
        }
        Ok(())
    }

    /// Makes jobs due again whose lease has run out. Gives how many.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn reap(&self) -> RedisResult<usize> {
        let mut reaped = 0;
        loop {
            let chunk: usize =
                REAP.key(&self.sched).key(&self.lease).arg(CHUNK).invoke_async(&mut self.redis.connection()).await?;
            reaped += chunk;
            if chunk < CHUNK {
                return Ok(reaped);
            }
        }
    }

    /// How much is where.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn depth(&self) -> RedisResult<Depth> {
        let mut connection = self.redis.connection();
        Ok(Depth { scheduled: connection.zcard(&self.sched).await?, leased: connection.zcard(&self.lease).await? })
    }

    /// Which of the jobs are on the schedule, each at its place.
    ///
    /// # Errors
    /// When Redis is away.
    pub(super) async fn are_scheduled(&self, jobs: &[JobId]) -> RedisResult<Vec<bool>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let members: Vec<String> = jobs.iter().map(JobId::to_string).collect();
        let times: Vec<Option<f64>> =
            redis::cmd("ZMSCORE").arg(&self.sched).arg(members).query_async(&mut self.redis.connection()).await?;
        Ok(times.iter().map(Option::is_some).collect())
    }

    /// About [`CHUNK`] members of a set, and where to go on; 0 is the beginning, and the end.
    /// What is in the set all the time is met at least once.
    ///
    /// # Errors
    /// When Redis is away.
    pub(super) async fn scan(&self, set: Set, from: u64) -> RedisResult<(u64, Vec<String>)> {
        let (next, found): (u64, Vec<(String, f64)>) = redis::cmd("ZSCAN")
            .arg(self.key_of(set))
            .arg(from)
            .arg("COUNT")
            .arg(CHUNK)
            .query_async(&mut self.redis.connection())
            .await?;
        Ok((next, found.into_iter().map(|(member, _)| member).collect()))
    }

    /// Removes members of a set.
    ///
    /// # Errors
    /// When Redis is away.
    pub(super) async fn remove(&self, set: Set, members: &[String]) -> RedisResult<()> {
        if members.is_empty() {
            return Ok(());
        }
        self.redis.connection().zrem(self.key_of(set), members).await
    }

    fn key_of(&self, set: Set) -> &str {
        match set {
            Set::Schedule => &self.sched,
            Set::Leases => &self.lease,
        }
    }

    /// Where Redis has the job: `scheduled`, `leased` or nowhere.
    ///
    /// # Errors
    /// When Redis is away.
    pub async fn place_of(&self, job: JobId, token: Option<&Token>) -> RedisResult<Option<&'static str>> {
        let mut connection = self.redis.connection();
        if connection.zscore::<_, _, Option<f64>>(&self.sched, job.to_string()).await?.is_some() {
            return Ok(Some("scheduled"));
        }
        let Some(token) = token.cloned() else { return Ok(None) };
        let member = Lease { job, token }.member();
        let deadline: Option<f64> = connection.zscore(&self.lease, member).await?;
        Ok(deadline.map(|_| "leased"))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `reap.lua` cuts the id off by its length, `claim.lua` makes the member of boot id and number.
    #[test]
    fn a_member_is_the_job_and_the_token_and_the_scripts_can_take_it_apart() {
        let (job, boot) = (JobId::new(), BootId::new());
        for number in [1, 99, 1 << 53] {
            let member = Lease { job, token: Token::new(boot, number) }.member();
            assert_eq!(member, format!("{job}:{boot}-{number}"));
            assert_eq!(member[..36].parse(), Ok(job));
        }
    }
}
