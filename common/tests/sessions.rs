//! Sessions and their refresh tokens, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::future::join_all;
use shop_common::db::MIGRATOR;
use shop_common::users::Identity;
use shop_common::users::directory;
use shop_common::users::queries::{self, Login};
use shop_common::users::secret::Secret;
use shop_common::users::sessions::{self, Lifetimes, Opened, Reason, RefreshError};
use shop_testkit::Shop;
use shop_testkit::proxy::{Commit, Proxy};
use sqlx::PgPool;

const LIFETIMES: Lifetimes = Lifetimes { refresh: Duration::from_secs(60), session: Duration::from_secs(600) };

/// A customer, and a session of theirs.
async fn logged_in(pool: &PgPool) -> (Identity, Opened) {
    let user = Shop::new(pool.clone()).customer().await;
    let Login { identity, .. } = queries::login_of(pool, user).await.unwrap().unwrap();
    let session = sessions::open(pool, &identity, &LIFETIMES).await.unwrap();
    (identity, session)
}

async fn refresh(pool: &PgPool, token: &Secret) -> Result<Opened, RefreshError> {
    sessions::refresh(pool, token, &LIFETIMES).await.map(|(_, session)| session)
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(pool).await.unwrap()
}

/// Lets time pass for all that can expire.
async fn pass(pool: &PgPool, time: Duration) {
    for sql in [
        "UPDATE refresh_tokens SET expires_at = expires_at - make_interval(secs => $1)",
        "UPDATE sessions SET expires_at = expires_at - make_interval(secs => $1)",
    ] {
        sqlx::query(sql).bind(time.as_secs_f64()).execute(pool).await.unwrap();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_refresh_token_is_good_once_and_its_second_use_ends_the_session(pool: PgPool) {
    let (identity, first) = logged_in(&pool).await;

    let second = refresh(&pool, &first.refresh_token).await.unwrap();
    assert_eq!((second.id, second.expires_at), (first.id, first.expires_at));
    let third = refresh(&pool, &second.refresh_token).await.unwrap();

    let replayed = refresh(&pool, &first.refresh_token).await;
    assert!(
        matches!(replayed, Err(RefreshError::Reused { session, user }) if session == first.id && user == identity.id)
    );
    assert!(matches!(refresh(&pool, &third.refresh_token).await, Err(RefreshError::Invalid)));
    assert!(matches!(refresh(&pool, &second.refresh_token).await, Err(RefreshError::Reused { .. })));
    let revoked = sessions::revoked_within(&pool, Duration::from_secs(60)).await.unwrap();
    assert_eq!(
        revoked.iter().map(|revoked| (revoked.id, revoked.user_id)).collect::<Vec<_>>(),
        [(first.id, identity.id)]
    );
    let guessed = Secret::from(secrecy::SecretString::from("guessed"));
    assert!(matches!(refresh(&pool, &guessed).await, Err(RefreshError::Invalid)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_many_who_use_one_token_at_once_one_wins_and_the_session_ends(pool: PgPool) {
    let (_, session) = logged_in(&pool).await;

    let used = join_all((0..8).map(|_| refresh(&pool, &session.refresh_token))).await;

    let won: Vec<_> = used.iter().filter_map(|used| used.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{used:?}");
    assert_eq!(used.iter().filter(|used| matches!(used, Err(RefreshError::Reused { .. }))).count(), 7);
    assert!(matches!(refresh(&pool, &won[0].refresh_token).await, Err(RefreshError::Invalid)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_session_ends_by_itself_and_all_of_them_end_with_the_generation(pool: PgPool) {
    let (identity, one) = logged_in(&pool).await;
    let two = sessions::open(&pool, &identity, &LIFETIMES).await.unwrap();
    let three = sessions::open(&pool, &identity, &LIFETIMES).await.unwrap();
    let (_, bobs) = logged_in(&pool).await;

    sessions::revoke(&pool, one.id, Reason::Logout).await.unwrap();
    assert!(matches!(refresh(&pool, &one.refresh_token).await, Err(RefreshError::Invalid)));
    let two = refresh(&pool, &two.refresh_token).await.unwrap();

    assert_eq!(queries::revoke_tokens_of(&pool, identity.id).await.unwrap().unwrap().token_generation, 1);
    for ended in [&two, &three] {
        assert!(matches!(refresh(&pool, &ended.refresh_token).await, Err(RefreshError::Invalid)));
    }
    // Whoever read the user before and begins a session only now has nothing of it.
    let late = sessions::open(&pool, &identity, &LIFETIMES).await.unwrap();
    assert!(matches!(refresh(&pool, &late.refresh_token).await, Err(RefreshError::Invalid)));
    assert!(refresh(&pool, &bobs.refresh_token).await.is_ok());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_password_that_somebody_else_sets_ends_all_sessions_and_begins_none(pool: PgPool) {
    let (identity, session) = logged_in(&pool).await;
    let (_, bobs) = logged_in(&pool).await;
    assert_eq!(directory::sessions(&pool, identity.id).await.unwrap().len(), 1);

    let now = sessions::reset_password(&pool, &identity, "another hash").await.unwrap().unwrap();

    assert_eq!(now.token_generation, identity.token_generation + 1);
    assert!(matches!(refresh(&pool, &session.refresh_token).await, Err(RefreshError::Invalid)));
    assert!(directory::sessions(&pool, identity.id).await.unwrap().is_empty());
    assert!(refresh(&pool, &bobs.refresh_token).await.is_ok());
    // Whoever has read the user before it was set does not set it again unseen.
    assert!(sessions::reset_password(&pool, &identity, "a third hash").await.unwrap().is_none());
    assert!(sessions::change_password(&pool, &identity, "a third hash", &LIFETIMES).await.unwrap().is_none());
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1")
        .bind(identity.id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(hash, "another hash");
    let (_, opened) = sessions::change_password(&pool, &now, "a third hash", &LIFETIMES).await.unwrap().unwrap();
    assert_eq!(directory::sessions(&pool, identity.id).await.unwrap()[0].id, opened.id);
    assert!(refresh(&pool, &opened.refresh_token).await.is_ok());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn tokens_expire_and_none_outlives_its_session(pool: PgPool) {
    let (_, session) = logged_in(&pool).await;
    pass(&pool, Duration::from_secs(59)).await;
    let second = refresh(&pool, &session.refresh_token).await.unwrap();
    pass(&pool, Duration::from_secs(61)).await;
    assert!(matches!(refresh(&pool, &second.refresh_token).await, Err(RefreshError::Invalid)));

    let (_, session) = logged_in(&pool).await;
    sqlx::query("UPDATE sessions SET expires_at = now() + interval '30 seconds'").execute(&pool).await.unwrap();
    let last = refresh(&pool, &session.refresh_token).await.unwrap();
    pass(&pool, Duration::from_secs(31)).await;
    assert!(matches!(refresh(&pool, &last.refresh_token).await, Err(RefreshError::Invalid)));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn who_refreshes_gets_the_pair_though_the_answer_to_the_commit_is_lost(pool: PgPool) {
    let (_, session) = logged_in(&pool).await;
    let proxy = Proxy::before(&pool).await;

    proxy.next_commit(Commit::LosesItsAnswer);
    let second = refresh(&proxy.pool, &session.refresh_token).await.unwrap();
    proxy.next_commit(Commit::IsLost);
    assert!(matches!(refresh(&proxy.pool, &second.refresh_token).await, Err(RefreshError::Database(_))));

    assert!(refresh(&pool, &second.refresh_token).await.is_ok(), "nothing was written, so it is good still");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn another_password_ends_all_sessions_and_of_two_changes_at_once_one_is_made(pool: PgPool) {
    let (identity, before) = logged_in(&pool).await;

    let change = |hash: &'static str| sessions::change_password(&pool, &identity, hash, &LIFETIMES);
    let changes = join_all([change("one"), change("other")]).await;

    let made: Vec<_> = changes.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(made.len(), 1);
    let (changed, session) = &made[0];
    assert_eq!((changed.id, changed.token_generation), (identity.id, identity.token_generation + 1));
    assert!(matches!(refresh(&pool, &before.refresh_token).await, Err(RefreshError::Invalid)));
    assert!(refresh(&pool, &session.refresh_token).await.is_ok());
    let revoked = queries::revoked_within(&pool, Duration::from_secs(60)).await.unwrap();
    assert_eq!(revoked.iter().map(|revoked| revoked.token_generation).collect::<Vec<_>>(), [1]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_hash_is_replaced_only_if_it_is_the_one_that_was_read(pool: PgPool) {
    let (identity, _) = logged_in(&pool).await;
    let hash = async || queries::login_of(&pool, identity.id).await.unwrap().unwrap().password_hash;

    join_all(["dearer", "dearer too"].map(|new| queries::rehash(&pool, identity.id, "none", new))).await;
    let first = hash().await;
    assert!(first.starts_with("dearer"));
    queries::rehash(&pool, identity.id, "none", "late").await.unwrap();

    assert_eq!(hash().await, first);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_has_expired_is_forgotten_a_few_rows_at_a_time_and_the_rest_stays(pool: PgPool) {
    let (identity, old) = logged_in(&pool).await;
    let mut token = old.refresh_token;
    for _ in 0..4 {
        token = refresh(&pool, &token).await.unwrap().refresh_token;
    }
    pass(&pool, Duration::from_secs(61)).await;
    let living = sessions::open(&pool, &identity, &LIFETIMES).await.unwrap();

    // The old session goes on; its five tokens have expired.
    assert_eq!(sessions::forget(&pool, 2).await.unwrap(), 2);
    assert_eq!((count(&pool, "refresh_tokens").await, count(&pool, "sessions").await), (4, 2));
    assert_eq!(sessions::forget(&pool, 100).await.unwrap(), 3);
    assert_eq!((count(&pool, "refresh_tokens").await, count(&pool, "sessions").await), (1, 2));
    sqlx::query("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1")
        .bind(old.id)
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(sessions::forget(&pool, 100).await.unwrap(), 1);
    assert_eq!(sessions::forget(&pool, 100).await.unwrap(), 0);

    assert!(refresh(&pool, &living.refresh_token).await.is_ok());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_database_holds_no_token_that_could_be_used(pool: PgPool) {
    let (_, session) = logged_in(&pool).await;
    let kept: String = sqlx::query_scalar("SELECT string_agg(to_jsonb(t)::text, '') FROM refresh_tokens t")
        .fetch_one(&pool)
        .await
        .unwrap();

    let token = session.refresh_token.expose();
    assert_eq!(token.len(), 64);
    assert!(!kept.contains(token));
    assert!(!format!("{session:?}").contains(token));
}
