//! `shopctl keys`.

use shop_common::db::MIGRATOR;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{json, shopctl, stderr};

#[sqlx::test(migrator = "MIGRATOR")]
async fn keys_are_rotated_listed_and_not_retired_while_they_sign(pool: PgPool) {
    let environment = Environment::new(&pool);
    let first = json(&shopctl(&environment, &["keys", "list", "-o", "json"]))[0]["kid"].as_str().unwrap().to_owned();

    let next = json(&shopctl(&environment, &["keys", "rotate", "-o", "json"]));
    assert_eq!(next["state"], "upcoming");
    let listed = json(&shopctl(&environment, &["keys", "list", "-o", "json"]));
    assert_eq!((&listed[0]["kid"], &listed[1]["kid"]), (&next["kid"], &first.as_str().into()));
    let signs = shopctl(&environment, &["keys", "retire", &first]);
    assert_eq!(signs.status.code(), Some(5), "{}", stderr(&signs));
    let unknown = shopctl(&environment, &["keys", "retire", "0000000000000000"]);
    assert_eq!(unknown.status.code(), Some(3), "{}", stderr(&unknown));
}
