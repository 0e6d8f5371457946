//! Comparing: whether the schedule in Redis has the jobs that the table says are live, and no others.
//!
//! The shop goes on meanwhile. So a difference counts only if the row of the job has not
//! changed while Redis was asked, and what is on its way for a second counts not at all.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::JobState;
use super::queue::{CHUNK, Queue, Set, job_of};
use super::reconcile::{GRACE, ReconcileError};
use crate::id::JobId;
use crate::time::Timestamp;

/// Differences that are named, at most; all are counted.
const SHOWN: usize = 100;

/// What to do about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing.
    Report,
    /// Schedule what is not there, and remove what should not be.
    Fix,
}

/// How a job differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DifferenceKind)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is due, or its worker is silent, and Redis does not have it.
    Missing,
    /// It is not due yet, and Redis does not have it. It comes back when it is due.
    Late,
    /// A living worker has it in hand, and no lease. It ends by itself.
    Unleased,
    /// Redis has it, and it is over, or was never there. A worker drops it when it meets it.
    Ghost,
}

/// A job about which the two do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// How.
    pub kind: Kind,
    /// The job, or what Redis has in place of one.
    pub member: String,
}

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Comparison {
    /// Live jobs of the table.
    pub live: u64,
    /// Of those, [`Kind::Missing`].
    pub missing: u64,
    /// Of those, [`Kind::Late`].
    pub late: u64,
    /// Of those, [`Kind::Unleased`].
    pub unleased: u64,
    /// [`Kind::Ghost`]s of Redis.
    pub ghosts: u64,
    /// The first of them by name.
    pub differences: Vec<Difference>,
}

impl Comparison {
    fn add(&mut self, kind: Kind, member: String) {
        *match kind {
            Kind::Missing => &mut self.missing,
            Kind::Late => &mut self.late,
            Kind::Unleased => &mut self.unleased,
            Kind::Ghost => &mut self.ghosts,
        } += 1;
        if self.differences.len() < SHOWN {
            self.differences.push(Difference { kind, member });
        }
    }
}

/// A live job.
#[derive(sqlx::FromRow)]
struct Live {
    id: JobId,
    updated_at: Timestamp,
    wait_seconds: f64,
    /// Whether the schedule must have it: it is due, or its worker is silent.
    needed: bool,
}

/// Compares the table with the schedule, page by page.
///
/// # Errors
/// When a server is away.
pub async fn compare(
    pool: &PgPool,
    queue: &Queue,
    lease: Duration,
    remedy: Remedy,
) -> Result<Comparison, ReconcileError> {
    let mut found = Comparison::default();
    for state in [JobState::Scheduled, JobState::Running] {
        let mut after = JobId(Uuid::nil());
        loop {
            let page = live(pool, state, after, lease).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            found.live += page.len() as u64;
            let absent = unchanged(pool, absent(queue, page).await?).await?;
            let mut again = Vec::new();
            for job in absent {
                let kind = match (job.needed, state) {
                    (true, _) => Kind::Missing,
                    (false, JobState::Running) => Kind::Unleased,
                    (false, _) => Kind::Late,
                };
                if kind != Kind::Unleased {
                    again.push((job.id, Duration::from_secs_f64(job.wait_seconds)));
                }
                found.add(kind, job.id.to_string());
            }
            if remedy == Remedy::Fix {
                queue.schedule(&again).await?;
            }
        }
    }
    for set in [Set::Schedule, Set::Leases] {
        lay_ghosts(pool, queue, set, remedy, &mut found).await?;
    }
    Ok(found)
}

async fn live(pool: &PgPool, state: JobState, after: JobId, lease: Duration) -> Result<Vec<Live>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, updated_at, greatest(0, extract(epoch FROM run_at - now()))::float8 AS wait_seconds,
                CASE state WHEN 'scheduled' THEN run_at <= now() - $3 * interval '1 second'
                ELSE NOT EXISTS (SELECT FROM workers w
                                 WHERE w.boot_id = jobs.boot_id AND w.heartbeat_at > now() - $4 * interval '1 second')
                END AS needed
         FROM jobs WHERE state = $1 AND id > $2 ORDER BY id LIMIT $5",
    )
    .bind(state)
    .bind(after)
    .bind(GRACE.as_secs_f64())
    .bind(lease.as_secs_f64())
    .bind(i64::try_from(CHUNK).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
}

/// Those that Redis has in neither set. The schedule is asked twice, around the leases,
/// because a lease may have gone back to it meanwhile.
async fn absent(queue: &Queue, jobs: Vec<Live>) -> redis::RedisResult<Vec<Live>> {
    let absent = not_scheduled(queue, jobs).await?;
    if absent.is_empty() {
        return Ok(absent);
    }
    let leased = leased(queue).await?;
    not_scheduled(queue, absent.into_iter().filter(|job| !leased.contains(&job.id)).collect()).await
}

async fn not_scheduled(queue: &Queue, jobs: Vec<Live>) -> redis::RedisResult<Vec<Live>> {
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let scheduled = queue.are_scheduled(&ids).await?;
    Ok(jobs.into_iter().zip(scheduled).filter(|(_, there)| !there).map(|(job, _)| job).collect())
}

async fn leased(queue: &Queue) -> redis::RedisResult<HashSet<JobId>> {
    let mut leased = HashSet::new();
    let mut from = 0;
    loop {
        let (next, members) = queue.scan(Set::Leases, from).await?;
        leased.extend(members.iter().filter_map(|member| job_of(member)));
        if next == 0 {
            return Ok(leased);
        }
        from = next;
    }
}

/// Those whose row is still as it was before Redis was asked.
async fn unchanged(pool: &PgPool, jobs: Vec<Live>) -> Result<Vec<Live>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(jobs);
    }
    let same: HashSet<JobId> = sqlx::query_scalar(
        "SELECT j.id FROM jobs j JOIN unnest($1::uuid[], $2::timestamptz[]) AS t (id, updated_at) USING (id, updated_at)",
    )
    .bind(jobs.iter().map(|job| job.id).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| job.updated_at).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?
    .into_iter()
    .collect();
    Ok(jobs.into_iter().filter(|job| same.contains(&job.id)).collect())
}

async fn lay_ghosts(
    pool: &PgPool,
    queue: &Queue,
    set: Set,
    remedy: Remedy,
    found: &mut Comparison,
) -> Result<(), ReconcileError> {
    let mut from = 0;
    loop {
        let (next, members) = queue.scan(set, from).await?;
        let jobs: Vec<JobId> = members.iter().filter_map(|member| job_of(member)).collect();
        // A job that has just ended is about to leave Redis.
        let rightly: HashSet<JobId> = sqlx::query_scalar(
            "SELECT id FROM jobs WHERE id = ANY($1)
             AND (state IN ('scheduled', 'running') OR updated_at > now() - $2 * interval '1 second')",
        )
        .bind(&jobs)
        .bind(GRACE.as_secs_f64())
        .fetch_all(pool)
        .await?
        .into_iter()
        .collect();
        let ghosts: Vec<String> =
            members.into_iter().filter(|member| job_of(member).is_none_or(|job| !rightly.contains(&job))).collect();
        if remedy == Remedy::Fix {
            queue.remove(set, &ghosts).await?;
        }
        ghosts.into_iter().for_each(|ghost| found.add(Kind::Ghost, ghost));
        if next == 0 {
            return Ok(());
        }
        from = next;
    }
}
