//! Limits on a real Redis, also one that goes away.

use std::net::ToSocketAddrs;

use futures::future::join_all;
use redis::AsyncCommands;
use secrecy::{ExposeSecret, SecretString};
use shop_testkit::link::{Link, Weather};
use tokio::time::Instant;
use uuid::Uuid;

use super::quota::Quota;
use super::*;

/// A corner of Redis that no other test has.
fn corner() -> config::Redis {
    let (_, settings) = config::load().unwrap();
    config::Redis { prefix: format!("test-{}", Uuid::now_v7()), ..settings.databases.redis }
}

/// What an api has of it.
fn shared(redis: &config::Redis) -> Shared {
    Shared::new(Redis::connect(redis).unwrap(), Duration::from_secs(10))
}

fn quota(per_minute: u32, burst: u32) -> Quota {
    config::RateLimit { per_minute: per_minute.try_into().unwrap(), burst: burst.try_into().unwrap() }.into()
}

fn writes(quota: Quota) -> Limiter {
    Limiter::new("writes", quota, Counting::OneByOne)
}

fn reads(quota: Quota) -> Limiter {
    Limiter::new("reads", quota, Counting::InChunks)
}

/// Redis behind a network that can be spoiled. `timeout` is what an api waits for an answer.
async fn shared_over_a_link(redis: &config::Redis, timeout: Duration) -> (Shared, Link) {
    let url = redis.url.expose_secret();
    let host = url.rsplit_once('@').map_or_else(|| url.trim_start_matches("redis://"), |(_, host)| host);
    let (host, database) = host.split_once('/').unwrap_or((host, "0"));
    let link = Link::to(host.to_socket_addrs().unwrap().next().unwrap()).await.unwrap();
    let user =
        url.trim_start_matches("redis://").rsplit_once('@').map_or(String::new(), |(user, _)| format!("{user}@"));
    let url = SecretString::from(format!("redis://{user}127.0.0.1:{}/{database}", link.port));
    let redis = config::Redis { url, ..redis.clone() };
    (Shared::new(Redis::connect(&redis).unwrap(), timeout), link)
}

#[tokio::test]
async fn two_apis_count_together_one_by_one() {
    let redis = corner();
    let (here, there) = (shared(&redis), shared(&redis));
    // Nothing comes back while the test runs.
    let (one, other) = (writes(quota(1, 5)), writes(quota(1, 5)));

    let mut left = Vec::new();
    for _ in 0..3 {
        left.push(one.check(&here, "ada").await);
        left.push(other.check(&there, "ada").await);
    }

    let left: Vec<_> = left.iter().map(|verdict| (verdict.admitted, verdict.left)).collect();
    assert_eq!(left, [(true, 4), (true, 3), (true, 2), (true, 1), (true, 0), (false, 0)]);
    let refused = one.check(&here, "ada").await;
    assert!((58..=60).contains(&refused.seconds()), "{refused:?}");
    assert!(one.check(&here, "bob").await.admitted, "others are not in it");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_on_two_apis_get_what_there_is_and_no_more() {
    const BURST: u32 = 100;
    let redis = corner();
    for (make, name) in [(reads as fn(Quota) -> Limiter, "reads"), (writes, "writes")] {
        let apis: Vec<_> = (0..2).map(|_| Arc::new((make(quota(1, BURST)), shared(&redis)))).collect();
        let requests = (0..4 * BURST as usize).map(|n| {
            let api = Arc::clone(&apis[n % 2]);
            tokio::spawn(async move { api.0.check(&api.1, "ada").await.admitted })
        });
        let admitted = join_all(requests).await.into_iter().filter(|admitted| *admitted.as_ref().unwrap()).count();
        assert_eq!(admitted, BURST as usize, "{name}");
    }
}

#[tokio::test]
async fn reads_go_above_the_limit_by_one_chunk_of_each_api_at_most() {
    // A token each 10 ms, chunks of ten.
    let quota = quota(6000, 100);
    let redis = corner();
    let apis = [(reads(quota), shared(&redis)), (reads(quota), shared(&redis))];
    let keys = Redis::connect(&redis).unwrap();
    // Chunks as large as they get; what is left of each is in hand.
    for (limiter, shared) in &apis {
        for _ in 0..20 {
            assert!(limiter.check(shared, "ada").await.admitted);
        }
    }
    // The key goes when the quota is whole again.
    while keys.connection().exists::<_, bool>(keys.key("limit:reads:ada")).await.unwrap() {
        tokio::task::yield_now().await;
    }

    let begun = Instant::now();
    let mut admitted = 0;
    for (limiter, shared) in apis.iter().cycle().take(400) {
        admitted += u128::from(limiter.check(shared, "ada").await.admitted);
    }
    let came_back = begun.elapsed().as_millis() / 10 + 1;

    let chunk = u128::from(apis[0].0.largest_chunk());
    assert_eq!(chunk, 10);
    assert!(admitted <= 100 + came_back + 2 * chunk, "{admitted} admitted, {came_back} came back");
    assert!(admitted > 100, "and what was in hand is there on top, or this test shows nothing");
}

#[tokio::test]
async fn what_is_leased_is_spent_without_redis() {
    let redis = corner();
    let (shared, link) = shared_over_a_link(&redis, Duration::from_secs(10)).await;
    let reads = reads(quota(1, 200));
    // 1 + 2 + 4 + 8, and the first of the next 16.
    for _ in 0..16 {
        assert!(reads.check(&shared, "ada").await.admitted);
    }

    link.set(Weather::Cut);
    for _ in 0..15 {
        assert!(reads.check(&shared, "ada").await.admitted);
    }

    assert!(!shared.is_away(), "Redis was not asked");
    reads.check(&shared, "ada").await;
    assert!(shared.is_away());
}

#[tokio::test]
async fn nothing_stays_in_redis() {
    let redis = corner();
    let (shared, keys) = (shared(&redis), Redis::connect(&redis).unwrap());
    let (reads, writes) = (reads(quota(10, 100)), writes(quota(10, 2)));
    for client in ["ada", "bob", "192.0.2.1", "2001:db8::/64"] {
        for _ in 0..4 {
            reads.check(&shared, client).await;
            writes.check(&shared, client).await;
        }
    }
    shared.remember("known:somebody", Duration::from_secs(60)).await;

    let mut connection = keys.connection();
    let found: Vec<String> = connection.keys(format!("{}*", keys.key(""))).await.unwrap();
    assert_eq!(found.len(), 9);
    for key in found {
        let lives: i64 = connection.pttl(&key).await.unwrap();
        assert!((1..=60_000).contains(&lives), "{key} lives for {lives} ms");
    }
}

#[tokio::test]
async fn a_script_that_redis_has_forgotten_is_loaded_again() {
    let redis = corner();
    let shared = shared(&redis);
    let writes = writes(quota(1, 2));
    writes.check(&shared, "ada").await;
    let mut connection = Redis::connect(&redis).unwrap().connection();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection).await.unwrap();

    assert_eq!(writes.check(&shared, "ada").await.left, 0);
    assert!(!writes.check(&shared, "ada").await.admitted);
    assert!(!shared.is_away());
}

#[tokio::test]
async fn a_time_of_another_clock_makes_nobody_wait_for_more_than_a_whole_quota() {
    let redis = corner();
    let (shared, keys) = (shared(&redis), Redis::connect(&redis).unwrap());
    // Of the year 2100.
    let _: () = keys.connection().set(keys.key("limit:writes:ada"), "4102444800000000").await.unwrap();

    let refused = writes(quota(60, 5)).check(&shared, "ada").await;

    assert_eq!((refused.admitted, refused.seconds()), (false, 1));
}

#[tokio::test]
async fn while_redis_is_away_each_api_counts_by_itself_and_then_together_again() {
    let redis = corner();
    for weather in [Weather::Cut, Weather::Silent] {
        let (shared, link) = shared_over_a_link(&redis, Duration::from_millis(500)).await;
        let (writes, reads) = (writes(quota(1, 3)), reads(quota(1, 3)));
        let client = format!("{weather:?}");
        assert!(writes.check(&shared, &client).await.admitted);

        link.set(weather);
        for limiter in [&writes, &reads] {
            let mut admitted = 0;
            for _ in 0..10 {
                admitted += u32::from(limiter.check(&shared, &client).await.admitted);
            }
            assert_eq!(admitted, 3, "a limit holds, which begins anew");
        }
        assert!(shared.is_away());
        link.set(Weather::Fair);
        while shared.is_away() {
            writes.check(&shared, "whoever comes next").await;
            tokio::task::yield_now().await;
        }

        let (here, there) = (format!("{client}, here"), &self::shared(&redis));
        writes.check(&shared, &here).await;
        assert_eq!(writes.check(there, &here).await.left, 1, "the other api has heard of it");
    }
}

#[tokio::test]
async fn a_silent_redis_costs_one_request_a_second_its_timeout_and_no_other() {
    const TIMEOUT: Duration = Duration::from_millis(200);
    let (shared, link) = shared_over_a_link(&corner(), TIMEOUT).await;
    let writes = writes(quota(60_000, 10_000));
    writes.check(&shared, "ada").await;
    link.set(Weather::Silent);

    let begun = Instant::now();
    let mut slow = 0;
    for _ in 0..500 {
        let asked = Instant::now();
        writes.check(&shared, "ada").await;
        slow += u64::from(asked.elapsed() >= TIMEOUT);
    }

    let most = 1 + begun.elapsed().as_secs();
    assert!((1..=most).contains(&slow), "{slow} waited in {:?}", begun.elapsed());
}

#[tokio::test]
async fn without_limits_nobody_is_counted() {
    let (_, settings) = config::load().unwrap();
    let off = config::RateLimits { enabled: false, ..settings.rate_limits };
    let limits = RateLimits::new(&off, &corner()).unwrap();
    for _ in 0..100 {
        limits.check::<Login>("ada").await.unwrap();
    }
}
