//! What operators see of jobs, on a real database: lists, the history, numbers; and what is deleted when it is old.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use shop_common::db::{Locks, MIGRATOR};
use shop_common::id::{BootId, JobId, OrderId, ProductId};
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::history::{self, HistoryFilter, PastAttempt};
use shop_common::jobs::list::{self, ListError, Listing, Sort};
use shop_common::jobs::queue::Lease;
use shop_common::jobs::retry::Backoff;
use shop_common::jobs::stats::{self, Remaining};
use shop_common::jobs::workers::{self, Pulse};
use shop_common::jobs::{JobState, Task, Token, pause, prune};
use shop_common::orders::claim;
use shop_common::orders::settle::{self, Settlement};
use shop_common::orders::status::OrderStatus;
use shop_common::payments::Outcome;
use shop_common::payments::next::Policy;
use shop_testkit::Shop;
use sqlx::{AssertSqlSafe, PgPool};

const LEASE: Duration = Duration::from_secs(15);
const POLICY: Policy =
    Policy { backoff: Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(60) }, max_attempts: 5 };

/// A shop with so many open orders, and their jobs.
async fn orders<const N: usize>(pool: PgPool) -> (Shop, ProductId, [(OrderId, JobId); N]) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 100).await;
    let mut orders = Vec::new();
    for _ in 0..N {
        let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await;
        orders.push((order, shop.job_of(order).await));
    }
    (shop, mug, orders.try_into().unwrap())
}

async fn run(shop: &Shop, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
}

/// A worker claims the job and settles it so.
async fn attempted(shop: &Shop, job: JobId, outcome: Outcome) {
    let boot = BootId::new();
    let lease = Lease { job, token: Token::new(boot, 1) };
    let claim = claim::claim(&shop.pool, &shop.announcer, &[lease], boot, LEASE).await.unwrap().pop().unwrap();
    let settlement = Settlement { lease: claim.lease, key: claim.key, outcome, jitter: 0.5 };
    settle::settle(&shop.pool, &shop.announcer, POLICY, Locks::Usual, &[settlement]).await.unwrap();
}

fn declined(code: &str, retryable: bool) -> Outcome {
    Outcome::Declined { code: code.to_owned(), retryable }
}

/// All pages of a list, one job at a time.
async fn pages(shop: &Shop, listing: &Listing) -> Vec<JobId> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = list::list(&shop.pool, listing, 1, after.as_deref()).await.unwrap();
        jobs.extend(page.iter().map(|listed| listed.job.id));
        let Some(next) = next else { return jobs };
        after = Some(next.to_string());
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn jobs_are_listed_page_by_page_in_each_order(pool: PgPool) {
    let (shop, _, [(_, first), (_, second), (_, third)]) = orders(pool).await;
    run(
        &shop,
        format!(
            "UPDATE jobs SET run_at = now() - interval '1 hour', updated_at = now() WHERE id = '{third}';
             UPDATE jobs SET last_error = 'x', updated_at = now() + interval '1 minute' WHERE id = '{second}';
             UPDATE jobs SET last_error = 'y', updated_at = now() + interval '1 hour', state = 'dead' WHERE id = '{first}'"
        ),
    )
    .await;
    let listing = |sort| Listing { filter: JobFilter::default(), needs_operator: false, sort };

    assert_eq!(pages(&shop, &listing(Sort::Newest)).await, [third, second, first]);
    assert_eq!(pages(&shop, &listing(Sort::Error)).await, [first, second]);
    assert_eq!(pages(&shop, &listing(Sort::RunAt)).await, [third, second], "only what is scheduled");
    assert_eq!(pages(&shop, &listing(Sort::Updated)).await, [first, second, third]);
    let filter = JobFilter { error: Some("Y".to_owned()), ..JobFilter::default() };
    assert_eq!(pages(&shop, &Listing { filter, ..listing(Sort::Error) }).await, [first]);

    let (_, next) = list::list(&shop.pool, &listing(Sort::Newest), 1, None).await.unwrap();
    let of_another_list = list::list(&shop.pool, &listing(Sort::Error), 1, Some(&next.unwrap().to_string())).await;
    assert!(matches!(of_another_list, Err(ListError::Cursor(_))), "{of_another_list:?}");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_dead_job_needs_an_operator_while_its_order_is_open(pool: PgPool) {
    let (shop, _, [(stuck_order, stuck), (declined, _), _]) = orders(pool).await;
    run(&shop, format!("UPDATE jobs SET state = 'dead' WHERE order_id IN ('{stuck_order}', '{declined}')")).await;
    run(&shop, format!("UPDATE orders SET status = 'FAILED' WHERE id = '{declined}'")).await;
    let listing = Listing { filter: JobFilter::default(), needs_operator: true, sort: Sort::Newest };

    let (listed, _) = list::list(&shop.pool, &listing, 10, None).await.unwrap();

    assert_eq!(
        listed.iter().map(|listed| (listed.job.id, listed.order_status)).collect::<Vec<_>>(),
        [(stuck, OrderStatus::Pending)]
    );
    assert_eq!(stats::stats(&shop.pool, LEASE).await.unwrap().needing_operator, 1);
    let filter = JobFilter { task: Some(Task::Refund), ..JobFilter::default() };
    assert!(pages(&shop, &Listing { filter, ..listing }).await.is_empty());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_history_tells_of_all_attempts_newest_first_and_of_refunds_that_are_done(pool: PgPool) {
    let (shop, _, [(tried, again), (paid, _), (refunded, _)]) = orders(pool).await;
    attempted(&shop, again, declined("card_declined", true)).await;
    run(&shop, "UPDATE jobs SET run_at = now()".to_owned()).await;
    attempted(&shop, again, declined("expired_card", false)).await;
    for order in [paid, refunded] {
        let outcome = Outcome::Approved { reference: "ch_1".to_owned() };
        attempted(&shop, shop.job_of(order).await, outcome).await;
    }
    run(
        &shop,
        format!(
            "INSERT INTO refunds (order_id, payment_id, restock, refunded_at)
             SELECT order_id, id, true, CASE order_id WHEN '{refunded}' THEN now() END FROM payments
             WHERE order_id IN ('{paid}', '{refunded}')"
        ),
    )
    .await;
    let list = async |filter: HistoryFilter| -> Vec<PastAttempt> {
        let (mut all, mut after): (Vec<PastAttempt>, Option<String>) = (Vec::new(), None);
        loop {
            let (page, next) = history::list(&shop.pool, &filter, 2, after.as_deref()).await.unwrap();
            all.extend(page);
            let Some(next) = next else { return all };
            after = Some(next.to_string());
        }
    };
    let all = list(HistoryFilter::default()).await;
    let told = |past: &PastAttempt| (past.order_id, past.outcome.clone(), past.code.clone());
    assert_eq!(
        all.iter().map(told).collect::<Vec<_>>(),
        [
            (refunded, "refunded".to_owned(), None),
            (refunded, "approved".to_owned(), None),
            (paid, "approved".to_owned(), None),
            (tried, "declined".to_owned(), Some("expired_card".to_owned())),
            (tried, "declined".to_owned(), Some("card_declined".to_owned())),
        ]
    );
    assert_eq!((all[0].claim, all[1].claim), (None, Some(1)));
    assert_eq!(all[0].charge_key, all[1].charge_key, "what was captured is what goes back");

    let filter = HistoryFilter::default;
    let expected: [(HistoryFilter, &[usize]); 8] = [
        (HistoryFilter { task: Some(Task::Refund), ..filter() }, &[0]),
        (HistoryFilter { task: Some(Task::Charge), ..filter() }, &[1, 2, 3, 4]),
        (HistoryFilter { outcome: Some("refunded".to_owned()), ..filter() }, &[0]),
        (HistoryFilter { outcome: Some("approved".to_owned()), ..filter() }, &[1, 2]),
        (HistoryFilter { code: Some("expired_card".to_owned()), ..filter() }, &[3]),
        (HistoryFilter { order: Some(refunded), ..filter() }, &[0, 1]),
        (HistoryFilter { since: Some(Duration::ZERO), ..filter() }, &[]),
        (HistoryFilter { since: Some(Duration::from_secs(3600)), ..filter() }, &[0, 1, 2, 3, 4]),
    ];
    for (filter, which) in expected {
        let expected: Vec<_> = which.iter().map(|n| all[*n].clone()).collect();
        assert_eq!(list(filter.clone()).await, expected, "{filter:?}");
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn numbers_tell_how_many_how_late_how_fast_and_what_fails(pool: PgPool) {
    let (shop, mug, [(_, later), _, (_, failed), (_, running)]) = orders(pool).await;
    attempted(&shop, failed, declined("card_declined", false)).await;
    run(
        &shop,
        format!(
            "UPDATE jobs SET run_at = now() + interval '1 hour' WHERE id = '{later}';
             UPDATE jobs SET state = 'running', token = 'x', boot_id = gen_random_uuid() WHERE id = '{running}';
             UPDATE jobs SET run_at = now() - interval '2 minutes' WHERE state = 'scheduled' AND id <> '{later}'"
        ),
    )
    .await;
    shop.order(shop.customer().await, &[(mug, 1)], "test").await;
    for (boot, silent) in [(BootId::new(), false), (BootId::new(), false), (BootId::new(), true)] {
        let mut pulse =
            Pulse { in_hand: 2, settled: 9, lately: Duration::from_secs(5), lately_settled: 10, ..Pulse::default() };
        pulse.lately_started.add(Duration::from_millis(100));
        workers::beat(&shop.pool, boot, "here", &pulse).await.unwrap();
        if silent {
            run(
                &shop,
                format!("UPDATE workers SET heartbeat_at = now() - interval '1 minute' WHERE boot_id = '{boot}'"),
            )
            .await;
        }
    }
    pause::pause(&shop.pool, None).await.unwrap();

    let stats = stats::stats(&shop.pool, LEASE).await.unwrap();

    let counts: Vec<_> = stats.jobs.iter().map(|group| (group.state, group.jobs)).collect();
    assert_eq!(counts, [(JobState::Dead, 1), (JobState::Running, 1), (JobState::Scheduled, 3)]);
    assert_eq!(stats.due.jobs, 2);
    assert!((120.0..180.0).contains(&stats.due.oldest_seconds.unwrap()), "{stats:?}");
    let late = stats.due.lateness.unwrap();
    assert!(late.p50 < 60.0 && late.p99 >= 120.0, "{late:?}");
    assert!(stats.paused.is_some());
    let all = stats.workers;
    assert_eq!((all.alive, all.silent, all.in_hand, all.settled_per_second), (2, 1, 4, 4.0));
    assert!((0.1..0.12).contains(&all.start_lateness.unwrap().p50));
    assert_eq!(stats::remaining(&shop.pool).await.unwrap(), Remaining { due: 2, running: 1, later: 1 });

    let now = stats::now(&shop.pool, LEASE).await.unwrap();
    assert_eq!(now.stats.jobs.len(), 2, "what is finished is not counted again and again");
    assert_eq!(now.who.len(), 3);
    let failing = &now.failing[0];
    assert_eq!((failing.kind.as_str(), failing.error.as_str(), failing.jobs), ("charge_payment", "card_declined", 1));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn only_what_ended_long_ago_and_nobody_needs_is_deleted(pool: PgPool) {
    let (shop, _, all) = orders::<6>(pool).await;
    let [(failed, over), (stuck, _), (paid, charged), (owed, _), (young, _), _] = all;
    for (order, job) in [(failed, over), (paid, charged)] {
        let outcome =
            if order == failed { declined("no", false) } else { Outcome::Approved { reference: "ch_1".to_owned() } };
        attempted(&shop, job, outcome).await;
    }
    // Of those that follow, each is old and finished, but for one thing.
    run(
        &shop,
        format!(
            "UPDATE jobs SET state = 'dead' WHERE order_id = '{stuck}';
             UPDATE jobs SET state = 'completed' WHERE order_id IN ('{owed}', '{young}');
             UPDATE orders SET status = 'COMPLETED' WHERE id IN ('{owed}', '{young}');
             INSERT INTO refunds (order_id, payment_id, restock) SELECT order_id, id, true FROM payments WHERE order_id = '{owed}';
             UPDATE jobs SET updated_at = now() - interval '40 days', created_at = now() - interval '41 days'
             WHERE order_id <> '{young}';
             UPDATE jobs SET created_at = now() - interval '41 days' WHERE order_id = '{young}';
             UPDATE payment_attempts SET created_at = now() - interval '40 days'"
        ),
    )
    .await;
    let before = prune::before(&shop.pool, Duration::from_secs(30 * 86_400)).await.unwrap();
    let count = async |filter: &JobFilter| prune::count(&shop.pool, filter, before).await.unwrap();
    let completed = JobFilter { states: vec![JobState::Completed], ..JobFilter::default() };
    assert_eq!((count(&JobFilter::default()).await, count(&completed).await), (2, 1));

    let page = prune::prune_page(&shop.pool, &JobFilter::default(), before, None).await.unwrap();

    assert_eq!((page.jobs, page.attempts), (2, 2));
    let end = prune::prune_page(&shop.pool, &JobFilter::default(), before, page.next).await.unwrap();
    assert_eq!((end.jobs, end.attempts, end.next), (0, 0, None));
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE id <> ALL($1)")
        .bind([over, charged])
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!((left, count(&JobFilter::default()).await), (4, 0));
}

/// `jobs_by_state` and so on: the comments of [`Sort`] say which. Sequential scans are what a table of a few rows gets.
#[sqlx::test(migrator = "MIGRATOR")]
async fn each_list_has_an_index(pool: PgPool) {
    let plan = async |sql: &'static str| -> String {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::raw_sql("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")
            .execute(&mut *connection)
            .await
            .unwrap();
        let lines: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {sql}"))).fetch_all(&mut *connection).await.unwrap();
        lines.join("\n")
    };
    for (index, sql) in [
        ("jobs_pkey", "SELECT * FROM jobs ORDER BY id DESC LIMIT 20"),
        ("jobs_by_state", "SELECT * FROM jobs WHERE state = 'dead' ORDER BY id DESC LIMIT 20"),
        (
            "jobs_with_error",
            "SELECT * FROM jobs WHERE last_error IS NOT NULL ORDER BY updated_at DESC, id DESC LIMIT 20",
        ),
        ("jobs_due", "SELECT * FROM jobs WHERE state = 'scheduled' ORDER BY run_at, id LIMIT 20"),
        ("jobs_by_updated_at", "SELECT * FROM jobs ORDER BY updated_at DESC, id DESC LIMIT 20"),
        (
            "payment_attempts_by_created_at",
            "SELECT * FROM payment_attempts ORDER BY created_at DESC, payment_id DESC LIMIT 20",
        ),
        (
            "refunds_done",
            "SELECT * FROM refunds WHERE refunded_at IS NOT NULL ORDER BY refunded_at DESC, payment_id DESC LIMIT 20",
        ),
    ] {
        let plan = plan(sql).await;
        assert!(plan.contains(&format!("using {index} ")), "{sql}: {plan}");
    }
}
