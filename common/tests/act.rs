//! What operators do to jobs, one or very many, on a real database: try again, make due, give up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use shop_common::db::{Ending, MIGRATOR};
use shop_common::id::{BootId, JobId, OrderId, ProductId};
use shop_common::jobs::act::{self, ActError, Group, Selection, Verb};
use shop_common::jobs::filter::JobFilter;
use shop_common::jobs::queue::Lease;
use shop_common::jobs::{JobState, Task, Token};
use shop_common::orders::claim::{self, Claim};
use shop_common::orders::status::OrderStatus;
use shop_common::reason::Reason;
use shop_testkit::Shop;
use sqlx::{AssertSqlSafe, PgPool};

const LEASE: Duration = Duration::from_secs(15);

/// A shop with one open order and its job.
async fn one_order(pool: PgPool) -> (Shop, ProductId, OrderId, JobId) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 9).await;
    let (order, job) = another(&shop, mug).await;
    (shop, mug, order, job)
}

async fn another(shop: &Shop, product: ProductId) -> (OrderId, JobId) {
    let order = shop.order(shop.customer().await, &[(product, 1)], "test").await;
    (order, shop.job_of(order).await)
}

async fn run(shop: &Shop, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&shop.pool).await.unwrap();
}

/// The state of a job, why it is given up, and whether it is due.
async fn row(shop: &Shop, job: JobId) -> (JobState, Option<String>, bool) {
    sqlx::query_as("SELECT state, give_up, run_at <= now() FROM jobs WHERE id = $1")
        .bind(job)
        .fetch_one(&shop.pool)
        .await
        .unwrap()
}

async fn claim_of(shop: &Shop, job: JobId) -> Vec<Claim> {
    let boot = BootId::new();
    claim::claim(&shop.pool, &shop.announcer, &[Lease { job, token: Token::new(boot, 1) }], boot, LEASE).await.unwrap()
}

async fn on_all_of(shop: &Shop, verb: Verb<'_>, jobs: &[JobId]) -> Result<Vec<JobId>, ActError> {
    act::act_on_all_of(&shop.pool, verb, jobs, Ending::Commit).await
}

async fn select(shop: &Shop, verb: Verb<'_>, filter: JobFilter) -> Selection {
    act::select(&shop.pool, verb, &filter).await.unwrap()
}

fn reason(text: &str) -> Reason {
    text.parse().unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_dead_job_is_retried_while_its_order_is_open_and_of_several_all_or_none(pool: PgPool) {
    let (shop, mug, _, stuck) = one_order(pool).await;
    let (failed, over) = another(&shop, mug).await;
    let (_, live) = another(&shop, mug).await;
    run(&shop, format!("UPDATE jobs SET state = 'dead', give_up = 'x' WHERE id IN ('{stuck}', '{over}')")).await;
    run(&shop, format!("UPDATE orders SET status = 'FAILED' WHERE id = '{failed}'")).await;
    let retry = async |jobs: &[JobId]| on_all_of(&shop, Verb::Retry, jobs).await;

    assert!(matches!(
        retry(&[stuck, over]).await,
        Err(ActError::OrderEnded { job, order: OrderStatus::Failed }) if job == over
    ));
    assert!(matches!(retry(&[stuck, live]).await, Err(ActError::WrongState { state: JobState::Scheduled, .. })));
    assert!(matches!(retry(&[stuck, JobId::new()]).await, Err(ActError::Unknown(_))));
    assert_eq!(row(&shop, stuck).await.0, JobState::Dead);

    assert_eq!(retry(&[stuck]).await.unwrap(), [stuck]);
    assert_eq!(row(&shop, stuck).await, (JobState::Scheduled, None, true), "who retries a job does not give it up");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_scheduled_job_is_due_now_and_keeps_its_age_if_it_was_due(pool: PgPool) {
    let (shop, mug, _, later) = one_order(pool).await;
    let (_, overdue) = another(&shop, mug).await;
    let (_, running) = another(&shop, mug).await;
    run(&shop, format!("UPDATE jobs SET run_at = now() + interval '1 hour', retries = 7 WHERE id = '{later}'")).await;
    run(&shop, format!("UPDATE jobs SET run_at = now() - interval '1 hour' WHERE id = '{overdue}'")).await;
    claim_of(&shop, running).await;

    assert_eq!(select(&shop, Verb::RunNow, JobFilter::default()).await.jobs, [later], "the others are due or running");
    assert!(claim_of(&shop, later).await.is_empty());
    assert_eq!(on_all_of(&shop, Verb::RunNow, &[later, overdue]).await.unwrap().len(), 2);
    assert!(matches!(
        on_all_of(&shop, Verb::RunNow, &[running]).await,
        Err(ActError::WrongState { state: JobState::Running, .. })
    ));

    let waits: bool = sqlx::query_scalar("SELECT run_at < now() - interval '59 minutes' FROM jobs WHERE id = $1")
        .bind(overdue)
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert!(waits, "how late it is has been forgotten");
    assert_eq!(claim_of(&shop, later).await[0].job.retries, 7);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_scheduled_or_dead_job_is_given_up_and_a_running_one_is_left_alone(pool: PgPool) {
    let (shop, mug, order, waits) = one_order(pool).await;
    let (_, dead) = another(&shop, mug).await;
    let (_, running) = another(&shop, mug).await;
    run(&shop, format!("UPDATE jobs SET run_at = now() + interval '1 hour' WHERE id = '{waits}'")).await;
    run(&shop, format!("UPDATE jobs SET state = 'dead' WHERE id = '{dead}'")).await;
    claim_of(&shop, running).await;
    let (why, other) = (reason("sold elsewhere"), reason("another reason"));

    let all = select(&shop, Verb::Cancel(&why), JobFilter::default()).await;
    assert_eq!(all.jobs, [waits, dead]);
    let group = |state| Group { kind: "charge_payment".to_owned(), state, jobs: 1 };
    assert_eq!(all.groups, [group(JobState::Dead), group(JobState::Scheduled)]);
    let refused = on_all_of(&shop, Verb::Cancel(&why), &[waits, running]).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("job {running} is running, not dead or scheduled"));
    assert_eq!(row(&shop, waits).await.1, None, "all or none");

    // Nothing but a job that is due: the stock is not back, and the order is open, until the gateway has answered.
    assert_eq!(
        act::act(&shop.pool, Verb::Cancel(&why), &JobFilter::default(), &[waits, dead, running]).await.unwrap().len(),
        2
    );
    for job in [waits, dead] {
        assert_eq!(row(&shop, job).await, (JobState::Scheduled, Some("sold elsewhere".to_owned()), true));
    }
    assert_eq!((shop.status(order).await, shop.stock(mug).await), (OrderStatus::Pending, 6));
    assert_eq!(select(&shop, Verb::Cancel(&other), JobFilter::default()).await.jobs, [], "there is nothing left to do");
    assert_eq!(
        on_all_of(&shop, Verb::Cancel(&why), &[waits]).await.unwrap(),
        [waits],
        "to do it twice is to do it once"
    );
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_the_dead_jobs_of_an_order_the_last_one_goes_on_and_two_never_do(pool: PgPool) {
    let (shop, mug, order, older) = one_order(pool).await;
    let (failed, over) = another(&shop, mug).await;
    run(&shop, format!("UPDATE jobs SET state = 'dead'; UPDATE orders SET status = 'FAILED' WHERE id = '{failed}'"))
        .await;
    let newer = JobId::new();
    run(
        &shop,
        format!(
            "INSERT INTO jobs (id, kind, version, payload, order_id, state)
             SELECT '{newer}', kind, version, payload, order_id, 'dead' FROM jobs WHERE id = '{older}'"
        ),
    )
    .await;
    let why = reason("given up");
    assert_eq!(select(&shop, Verb::Cancel(&why), JobFilter::default()).await.jobs, [newer]);
    assert_eq!(act::act_on_all_of(&shop.pool, Verb::Retry, &[newer], Ending::DryRun).await.unwrap(), [newer]);
    assert_eq!(row(&shop, newer).await.0, JobState::Dead, "a dry run changes nothing");
    let twice = on_all_of(&shop, Verb::Retry, &[older, newer]).await;
    assert!(matches!(twice, Err(ActError::TwoLive)), "{twice:?}");

    assert_eq!(act::act(&shop.pool, Verb::Cancel(&why), &JobFilter::default(), &[newer, over]).await.unwrap(), [newer]);
    // The order has a live job by now.
    assert_eq!(act::act(&shop.pool, Verb::Retry, &JobFilter::default(), &[older]).await.unwrap(), []);
    assert!(matches!(on_all_of(&shop, Verb::Retry, &[older]).await, Err(ActError::TwoLive)));
    assert_eq!((row(&shop, older).await.0, row(&shop, over).await.0), (JobState::Dead, JobState::Dead));
    let given: (OrderId, String) = sqlx::query_as("SELECT order_id, give_up FROM jobs WHERE state = 'scheduled'")
        .fetch_one(&shop.pool)
        .await
        .unwrap();
    assert_eq!(given, (order, "given up".to_owned()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_filter_says_which_of_all(pool: PgPool) {
    let (shop, mug, order, first) = one_order(pool).await;
    let (_, second) = another(&shop, mug).await;
    run(&shop, "UPDATE jobs SET run_at = now() + interval '1 hour'".to_owned()).await;
    run(
        &shop,
        format!(
            "UPDATE jobs SET last_error = 'Gateway_Timeout 50%', created_at = now() - interval '2 hours'
             WHERE id = '{first}'"
        ),
    )
    .await;
    let payload: serde_json::Value =
        sqlx::query_scalar("SELECT payload FROM jobs WHERE id = $1").bind(first).fetch_one(&shop.pool).await.unwrap();
    let all = JobFilter::default;
    let only_first = [
        JobFilter { order: Some(order), ..all() },
        JobFilter { error: Some("way_timeout".to_owned()), ..all() },
        JobFilter { error: Some("0%".to_owned()), ..all() },
        JobFilter { older_than: Some(Duration::from_secs(3600)), ..all() },
        JobFilter { payload: Some(payload), ..all() },
        JobFilter { task: Some(Task::Charge), states: vec![JobState::Scheduled], order: Some(order), ..all() },
    ];
    let both = [
        all(),
        JobFilter { task: Some(Task::Charge), ..all() },
        JobFilter { states: vec![JobState::Scheduled, JobState::Dead], ..all() },
        JobFilter { payload: Some(serde_json::json!({})), ..all() },
    ];
    let none = [
        JobFilter { task: Some(Task::Refund), ..all() },
        JobFilter { states: vec![JobState::Dead], ..all() },
        JobFilter { order: Some(OrderId::new()), ..all() },
        // No pattern of LIKE.
        JobFilter { error: Some("gateway%50".to_owned()), ..all() },
        JobFilter { older_than: Some(Duration::from_secs(3 * 3600)), ..all() },
        JobFilter { payload: Some(serde_json::json!({"paymentId": "x"})), ..all() },
    ];
    let why = reason("why");
    for verb in [Verb::RunNow, Verb::Cancel(&why)] {
        for filter in &only_first {
            assert_eq!(select(&shop, verb, filter.clone()).await.jobs, [first], "{verb:?} {filter:?}");
        }
        for filter in &both {
            assert_eq!(select(&shop, verb, filter.clone()).await.jobs, [first, second], "{verb:?} {filter:?}");
        }
        for filter in &none {
            assert_eq!(select(&shop, verb, filter.clone()).await, Selection::default(), "{verb:?} {filter:?}");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_page_that_the_database_refuses_is_not_done_in_part(pool: PgPool) {
    let (shop, mug, _, first) = one_order(pool).await;
    let (_, second) = another(&shop, mug).await;
    run(
        &shop,
        format!(
            "UPDATE jobs SET state = 'dead';
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF NEW.id = '{second}' THEN RAISE 'the disk is full'; END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
        ),
    )
    .await;
    act::act(&shop.pool, Verb::Retry, &JobFilter::default(), &[first, second]).await.unwrap_err();
    assert_eq!(row(&shop, first).await.0, JobState::Dead);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_worker_that_has_taken_the_job_first_keeps_it(pool: PgPool) {
    let (shop, _, order, job) = one_order(pool).await;
    let why = reason("too late");
    let selected = select(&shop, Verb::Cancel(&why), JobFilter::default()).await;
    assert_eq!(selected.jobs, [job]);
    let claim = claim_of(&shop, job).await.pop().unwrap();

    assert_eq!(act::act(&shop.pool, Verb::Cancel(&why), &JobFilter::default(), &selected.jobs).await.unwrap(), []);

    assert_eq!((claim.job.give_up, row(&shop, job).await.1), (None, None));
    assert_eq!(shop.status(order).await, OrderStatus::Processing);
    shop.assert_sound().await;
}
