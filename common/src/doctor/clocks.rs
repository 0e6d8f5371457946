//! Whether this machine, PostgreSQL and Redis agree about the time.
//!
//! No promise of the shop leans on that: jobs run by PostgreSQL's clock, and Redis gets delays. But tokens end by the clock
//! of the api, and logs of two machines are read side by side.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use super::Check;
use crate::redis::Redis;

/// From so many milliseconds on it is noticed.
const NOTICED: i64 = 1_000;

/// From so many on, tokens end too early or too late for it to be right.
const WRONG: i64 = 30_000;

pub(super) async fn compare(pool: Option<&PgPool>, redis: Option<&Redis>) -> Check {
    let mut clocks = Vec::new();
    if let Some(pool) = pool
        && let Some(ahead) = ahead(async || {
            sqlx::query_scalar::<_, DateTime<Utc>>("SELECT clock_timestamp()").fetch_one(pool).await.ok()
        })
        .await
    {
        clocks.push(("PostgreSQL", ahead));
    }
    if let Some(redis) = redis
        && let Some(ahead) = ahead(async || redis.time().await.ok()).await
    {
        clocks.push(("Redis", ahead));
    }
    judge(&clocks)
}

/// How far a clock is ahead of ours: of the moment in the middle between the question and the answer.
async fn ahead(ask: impl AsyncFnOnce() -> Option<DateTime<Utc>>) -> Option<TimeDelta> {
    let asked = Utc::now();
    let told = ask().await?;
    Some(told - (asked + (Utc::now() - asked) / 2))
}

fn judge(clocks: &[(&str, TimeDelta)]) -> Check {
    let name = "clocks";
    if clocks.is_empty() {
        return Check::unknown(name, "both servers are away");
    }
    let off = |ahead: &TimeDelta| ahead.num_milliseconds().abs();
    let tell = |(clock, ahead): &(&str, TimeDelta)| match ahead.num_milliseconds() {
        ms if ms.abs() < NOTICED => format!("{clock} agrees with this machine"),
        ms if ms < 0 => format!("{clock} is {:.1} s behind this machine", ms.abs() as f64 / 1000.0),
        ms => format!("{clock} is {:.1} s ahead of this machine", ms as f64 / 1000.0),
    };
    let seen = clocks.iter().map(tell).collect::<Vec<_>>().join(", ");
    let fix = "keep the clocks of all machines by NTP: `timedatectl set-ntp true` on the one that is off";
    match clocks.iter().map(|(_, ahead)| off(ahead)).max().unwrap_or(0) {
        worst if worst >= WRONG => Check::failed(name, seen, fix),
        worst if worst >= NOTICED => Check::warning(name, seen, fix),
        _ => Check::ok(name, seen),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_second_is_noticed_and_half_a_minute_is_wrong() {
        let judged = |ms| judge(&[("PostgreSQL", TimeDelta::milliseconds(5)), ("Redis", TimeDelta::milliseconds(ms))]);
        assert_eq!(judged(-300).verdict, Verdict::Ok);
        assert_eq!(judged(-1_500).seen, "PostgreSQL agrees with this machine, Redis is 1.5 s behind this machine");
        assert_eq!(judged(1_500).verdict, Verdict::Warning);
        assert_eq!(judged(-40_000).verdict, Verdict::Failed);
        assert_eq!(judge(&[]).verdict, Verdict::Unknown);
    }
}
