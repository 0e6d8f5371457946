//! The keys that sign access tokens, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::future::join_all;
use shop_common::db::MIGRATOR;
use shop_common::users::signing_keys::{
    KeyState, Kid, LEAD, RetireError, RotateError, SigningKey, list, live, retire, rotate,
};
use sqlx::PgPool;

const LIFETIME: Duration = Duration::from_secs(900);

async fn states(pool: &PgPool) -> Vec<KeyState> {
    list(pool).await.unwrap().iter().map(|key| key.state(LIFETIME)).collect()
}

/// Lets time pass for the keys.
async fn pass(pool: &PgPool, time: Duration) {
    sqlx::query("UPDATE signing_keys SET signs_from = signs_from - make_interval(secs => $1)")
        .bind(time.as_secs_f64())
        .execute(pool)
        .await
        .unwrap();
}

async fn newest(pool: &PgPool) -> SigningKey {
    list(pool).await.unwrap().remove(0)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_new_shop_has_a_key_that_signs(pool: PgPool) {
    assert_eq!(states(&pool).await, [KeyState::Signs]);
    let live = live(&pool, LIFETIME).await.unwrap();
    assert_eq!((live.len(), live[0].signs_in, live[0].checks_for), (1, Duration::ZERO, None));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_new_key_is_known_before_it_signs_and_the_one_before_checks_until_its_tokens_have_expired(pool: PgPool) {
    let first = newest(&pool).await;

    let second = rotate(&pool, LIFETIME).await.unwrap();

    assert_eq!(
        (newest(&pool).await.kid, states(&pool).await),
        (second.kid.clone(), vec![KeyState::Upcoming, KeyState::Signs])
    );
    let known = live(&pool, LIFETIME).await.unwrap();
    assert!(known[0].signs_in > LEAD / 2 && known[0].signs_in <= LEAD);
    assert!(known[1].checks_for.unwrap() > LIFETIME);
    pass(&pool, LEAD).await;
    assert_eq!(states(&pool).await, [KeyState::Signs, KeyState::Checks]);

    // Refused while tokens of the first one may live, and possible after that, which ends it.
    let refused = rotate(&pool, LIFETIME).await;
    assert!(
        matches!(&refused, Err(RotateError::TooSoon { older, signs: false, .. }) if *older == first.kid),
        "{refused:?}"
    );
    pass(&pool, LIFETIME + Duration::from_secs(60)).await;
    assert_eq!(live(&pool, LIFETIME).await.unwrap().len(), 1);
    rotate(&pool, LIFETIME).await.unwrap();
    assert_eq!(states(&pool).await, [KeyState::Upcoming, KeyState::Signs, KeyState::Retired]);
    assert!(list(&pool).await.unwrap()[2].retired_at.is_some());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_key_is_retired_when_another_one_signs_and_not_before(pool: PgPool) {
    let first = newest(&pool).await.kid;
    assert!(matches!(retire(&pool, &first).await, Err(RetireError::Signs(_))));
    let second = rotate(&pool, LIFETIME).await.unwrap().kid;
    for signs in [&first, &second] {
        assert!(matches!(retire(&pool, signs).await, Err(RetireError::Signs(_))));
    }
    pass(&pool, LEAD).await;

    let retired = retire(&pool, &first).await.unwrap();

    assert_eq!(retired.state(LIFETIME), KeyState::Retired);
    assert_eq!(retire(&pool, &first).await.unwrap().retired_at, retired.retired_at);
    assert!(matches!(retire(&pool, &second).await, Err(RetireError::Signs(_))));
    let unknown: Kid = "0123456789abcdef".parse().unwrap();
    assert!(matches!(retire(&pool, &unknown).await, Err(RetireError::NotFound(_))));
    assert_eq!(live(&pool, LIFETIME).await.unwrap().iter().map(|key| &key.kid).collect::<Vec<_>>(), [&second]);
    rotate(&pool, LIFETIME).await.unwrap();
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_many_who_rotate_at_once_one_does(pool: PgPool) {
    let rotated = join_all((0..8).map(|_| rotate(&pool, LIFETIME))).await;

    assert_eq!(rotated.iter().filter(|rotated| rotated.is_ok()).count(), 1);
    assert!(rotated.iter().all(|r| matches!(r, Ok(_) | Err(RotateError::TooSoon { signs: true, .. }))), "{rotated:?}");
    assert_eq!(live(&pool, LIFETIME).await.unwrap().len(), 2);
}
