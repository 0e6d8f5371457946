//! What a worker counts, with a recorder of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use shop_common::db::MIGRATOR;
use shop_common::id::{BootId, PaymentId};
use shop_common::jobs::Token;
use shop_common::jobs::queue::Lease;
use shop_common::orders::claim;
use shop_common::orders::status::OrderStatus;
use shop_common::payments::ChargeKey;
use shop_testkit::Shop;
use shop_worker::payments::gateway::{
    CapturedCharge, Charge, ChargeOutcome, Lookup, PaymentGateway, RefundOutcome, Unreachable, VoidOutcome,
};
use shop_worker::payments::measured::MeasuredGateway;
use shop_worker::payments::simulated::SimulatedGateway;
use shop_worker::runner::{Pools, Runner};
use shop_worker::upkeep::Upkeep;
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The value of a series; 0 if nobody has counted it.
fn value(metrics: &PrometheusHandle, series: &str) -> f64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).unwrap_or("0");
    line.parse().unwrap()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_job_counts_how_late_it_was_begun_or_that_it_was_taken_over(pool: PgPool) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let (metrics, _recorded) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let shop = Shop::new(pool);
    let (ada, mug) = (shop.customer().await, shop.product("1", 5).await);
    let (late, left) =
        (shop.order(ada, &[(mug, 1)], "pm_sim_success").await, shop.order(ada, &[(mug, 1)], "pm_sim_success").await);
    let waited = "UPDATE jobs SET run_at = now() - interval '100 seconds' WHERE order_id = $1";
    sqlx::query(waited).bind(late).execute(&shop.pool).await.unwrap();
    // A worker claims the other one, and is silent from then on.
    let (zombie, lease) = (BootId::new(), shop.settings.worker.lease());
    let claimed = Lease { job: shop.job_of(left).await, token: Token::new(zombie, 1) };
    claim::claim(&shop.pool, &shop.announcer, &[claimed], zombie, lease).await.unwrap();
    let lateness = r#"shop_job_start_lateness_seconds_sum{kind="charge_payment"}"#;
    let before = value(&metrics, lateness);

    let gateway = Arc::new(SimulatedGateway::new(shop.pool.clone(), shop.settings.gateway.clone()));
    let runner = Arc::new(Runner::new(Pools::same(&shop.pool), shop.redis.clone(), gateway, &shop.settings));
    let upkeep = Upkeep::new(Arc::clone(&runner), shop.redis.clone(), &shop.settings.live, CancellationToken::new());
    upkeep.beat().await.unwrap();
    assert_eq!(runner.step().await.unwrap().taken, 2);
    runner.finish().await;

    for order in [late, left] {
        assert_eq!(shop.status(order).await, OrderStatus::Completed);
    }
    assert!((100.0..300.0).contains(&(value(&metrics, lateness) - before)));
    assert_eq!(value(&metrics, r#"shop_jobs_taken_over_total{kind="charge_payment"}"#), 1.0);
    assert_eq!(value(&metrics, r#"shop_jobs_settled_total{kind="charge_payment",result="completed"}"#), 2.0);
    assert!(runner.heard().age().unwrap() < lease);
}

/// A gateway that never answers, unless it is asked for its ledger.
struct Silent;

#[async_trait]
impl PaymentGateway for Silent {
    async fn charge(&self, _: &Charge) -> ChargeOutcome {
        std::future::pending().await
    }

    async fn lookup(&self, _: &ChargeKey) -> Lookup {
        std::future::pending().await
    }

    async fn void(&self, _: &ChargeKey) -> VoidOutcome {
        std::future::pending().await
    }

    async fn refund(&self, _: &ChargeKey) -> RefundOutcome {
        std::future::pending().await
    }

    async fn captured(&self, _: Option<&ChargeKey>, _: u32) -> Result<Vec<CapturedCharge>, Unreachable> {
        Err(Unreachable)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_longer_is_abandoned() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let (metrics, _recorded) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let gateway = MeasuredGateway::new(Arc::new(Silent));
    let key = ChargeKey::new(PaymentId::new(), 1);

    assert!(timeout(Duration::from_secs(10), gateway.void(&key)).await.is_err());
    assert!(gateway.captured(None, 1).await.is_err());

    let calls = |operation: &str, outcome: &str| {
        value(&metrics, &format!(r#"shop_gateway_requests_total{{operation="{operation}",outcome="{outcome}"}}"#))
    };
    assert_eq!((calls("void", "abandoned"), calls("ledger", "unknown"), calls("void", "unknown")), (1.0, 1.0, 0.0));
}
