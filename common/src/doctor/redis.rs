//! Redis: whether it is there, new enough, and keeps what it is given. One that is managed may not tell.

use std::collections::BTreeMap;

use redis::RedisError;

use super::{Check, Subject, with};
use crate::redis::Redis;

/// The oldest that will do.
const OLDEST: u32 = 7;

/// The share of its memory in use from which on it is getting tight.
const TIGHT: f64 = 0.9;

/// Whether it is there, and if so the way to it.
pub(super) async fn reach<'s>(subject: &Subject<'s>) -> (Check, Option<&'s Redis>) {
    let name = "redis";
    let fix = "start it, or correct REDIS_URL; orders are taken meanwhile, and charged when it is back";
    let redis = match &subject.redis {
        Ok(redis) => *redis,
        Err(why) => return (Check::failed(name, why, fix), None),
    };
    match redis.ping().await {
        Ok(()) => (Check::ok(name, "it answers"), Some(redis)),
        Err(error) => (Check::failed(name, format!("it does not answer: {error}"), fix), None),
    }
}

/// All else about it.
pub(super) async fn examine(redis: Option<&Redis>) -> Vec<Check> {
    vec![
        with("redis version", redis, async |redis| redis.info("server").await.map(|info| version(&info))).await,
        with("redis memory", redis, memory).await,
        with("redis persistence", redis, async |redis| redis.info("persistence").await.map(|info| persistence(&info)))
            .await,
    ]
}

type Info = BTreeMap<String, String>;

fn version(info: &Info) -> Check {
    let name = "redis version";
    // Valkey says which Redis it is like.
    let Some(version) = info.get("redis_version") else { return Check::unknown(name, "it does not say") };
    let seen = match info.get("valkey_version") {
        Some(valkey) => format!("Valkey {valkey}"),
        None => version.clone(),
    };
    match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= OLDEST => Check::ok(name, seen),
        Some(_) => Check::failed(name, seen, "upgrade to Redis 7 or newer, or to Valkey"),
        None => Check::unknown(name, seen),
    }
}

async fn memory(redis: &Redis) -> Result<Check, RedisError> {
    let mut info = redis.info("memory").await?;
    if !info.contains_key("maxmemory_policy")
        && let Ok(Some(policy)) = redis.setting("maxmemory-policy").await
    {
        info.insert("maxmemory_policy".to_owned(), policy);
    }
    Ok(judge_memory(&info))
}

fn judge_memory(info: &Info) -> Check {
    let name = "redis memory";
    let Some(policy) = info.get("maxmemory_policy") else {
        return Check::unknown(name, "it does not say what it does when its memory is full");
    };
    let number = |key: &str| info.get(key).and_then(|value| value.parse::<f64>().ok());
    let limit = number("maxmemory").filter(|limit| *limit > 0.0);
    let fix = "in Redis: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
    if policy != "noeviction" {
        let seen = format!("maxmemory-policy is {policy}: it may throw jobs away");
        return match limit {
            Some(_) => Check::failed(name, seen, fix),
            None => Check::warning(name, format!("{seen}, once it has a maxmemory"), fix),
        };
    }
    match (limit, number("used_memory")) {
        (Some(limit), Some(used)) => {
            let seen = format!("noeviction, {:.0} % of maxmemory in use", used / limit * 100.0);
            if used >= limit * TIGHT {
                return Check::warning(name, seen, "raise maxmemory: when it is full, Redis takes no more jobs");
            }
            Check::ok(name, seen)
        }
        _ => Check::ok(name, "noeviction, without a limit"),
    }
}

fn persistence(info: &Info) -> Check {
    let name = "redis persistence";
    let is = |key: &str, value: &str| info.get(key).is_some_and(|found| found == value);
    if !info.contains_key("aof_enabled") {
        return Check::unknown(name, "it does not say");
    }
    for (status, what) in [("aof_last_write_status", "its log of commands"), ("rdb_last_bgsave_status", "a snapshot")] {
        if is(status, "err") {
            let fix = "see the log of Redis; most often its disk is full, and then it takes no more jobs";
            return Check::failed(name, format!("it could not write {what}"), fix);
        }
    }
    if is("aof_enabled", "0") {
        let fix = "in Redis: CONFIG SET appendonly yes, and the same in redis.conf";
        return Check::warning(name, "without AOF a restart empties the schedule, which workers then rebuild", fix);
    }
    Check::ok(name, "AOF is on")
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn info(pairs: &[(&str, &str)]) -> Info {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_noeviction_keeps_the_schedule() {
        let judged = |pairs: &[(&str, &str)]| judge_memory(&info(pairs)).verdict;
        let memory =
            |used, policy| judged(&[("used_memory", used), ("maxmemory", "100"), ("maxmemory_policy", policy)]);
        assert_eq!(memory("50", "noeviction"), Verdict::Ok);
        assert_eq!(memory("95", "noeviction"), Verdict::Warning);
        assert_eq!(memory("50", "allkeys-lru"), Verdict::Failed);
        assert_eq!(judged(&[("maxmemory", "0"), ("maxmemory_policy", "volatile-ttl")]), Verdict::Warning);
        assert_eq!(judged(&[]), Verdict::Unknown, "a managed one does not tell");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_worse_than_none() {
        let judged = |pairs: &[(&str, &str)]| persistence(&info(pairs)).verdict;
        assert_eq!(judged(&[("aof_enabled", "1"), ("aof_last_write_status", "ok")]), Verdict::Ok);
        assert_eq!(judged(&[("aof_enabled", "1"), ("aof_last_write_status", "err")]), Verdict::Failed);
        assert_eq!(judged(&[("aof_enabled", "0"), ("rdb_last_bgsave_status", "ok")]), Verdict::Warning);
        assert_eq!(judged(&[]), Verdict::Unknown);
    }

    #[test]
    fn redis_7_and_valkey_will_do() {
        let judged = |pairs: &[(&str, &str)]| version(&info(pairs));
        assert_eq!(judged(&[("redis_version", "7.0.15")]).verdict, Verdict::Ok);
        assert_eq!(judged(&[("redis_version", "6.2.1")]).verdict, Verdict::Failed);
        assert_eq!(
            judged(&[("redis_version", "7.2.4"), ("valkey_version", "8.1.1")]),
            Check::ok("redis version", "Valkey 8.1.1")
        );
    }
}
