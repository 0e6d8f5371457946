//! What the documents show in their `console` blocks is what comes back. See `e2e/src/console.rs`; `make snapshots` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use shop_common::db::MIGRATOR;
use shop_e2e::console::Console;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

/// A document, by its path in the repository.
fn document(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_handbook_of_shopctl_shows_what_it_prints(pool: PgPool) {
    sqlx::query("INSERT INTO installation (environment) VALUES ('development')").execute(&pool).await.unwrap();
    let environment = Environment::new(&pool);
    let shop = Shop::new(pool);
    // The commands look where this shop keeps its schedule.
    let redis = format!("{{redis={{prefix=\"{}\"}}}}", shop.settings.databases.redis.prefix);
    let environment = environment.with("ROCKET_DATABASES", &redis);
    let mug = shop.product("12.50", 200).await;
    shop.order(shop.customer().await, &[(mug, 2)], "test").await;
    Console::new(&environment).run(&document("docs/shopctl.md"));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_document_that_shows_something_else_is_noticed_and_one_with_placeholders_is_not(pool: PgPool) {
    let mut console = Console::new(&Environment::new(&pool)).redact("[FOLDER]", "/srv/shop");
    let good = "\
Any text, with a `$ sign` in it.

```console
$ ID=$(echo 01890000-0000-7000-8000-000000000000)
$ echo \"$ID at 2026-01-02 03:04:05 in /srv/shop\"
[ID] at [TIME] in [FOLDER]
$ echo data; echo note >&2; \\
> (exit 3)
? 3
data
[..]
$ printf 'a\\nb\\nc\\nd'
a
...
d
```

```sh
$ not run
```
";
    assert_eq!(console.replay(good), good);
    let bad = good.replace("? 3\n", "").replace("[..]", "[..]x");
    let now = "> (exit 3)\n? 3\ndata\nnote\n$ printf";
    assert!(console.replay(&bad).contains(now), "{}", console.replay(&bad));
    let other_id = "```console\n$ echo 01890000-0000-7000-8000-000000000001 $ID\n```\n";
    assert!(console.replay(other_id).contains("[UUID] [ID]\n"));
}
