//! Each failure says what to do next, and leaves with the code that says what kind of failure it is.

use shop_common::db::MIGRATOR;
use shop_testkit::Shop;
use shop_testkit::binaries::Environment;
use sqlx::PgPool;

use crate::run::{shopctl, shopctl_reading, stderr, stdout};

const NOTHING: &str = "01890000-0000-7000-8000-000000000000";

#[sqlx::test(migrator = "MIGRATOR")]
async fn whatever_fails_leaves_with_its_code_and_names_the_next_step(pool: PgPool) {
    let (environment, shop) = (Environment::new(&pool), Shop::new(pool.clone()));
    let mug = shop.product("2.50", 5).await;
    let order = shop.order(shop.customer().await, &[(mug, 1)], "test").await.to_string();
    let mug = mug.to_string();
    shopctl(&environment, &["admin", "seed"]);
    let failing: &[(i32, &[&str])] = &[
        (3, &["users", "show", NOTHING]),
        (3, &["users", "show", "nobody@example.com"]),
        (3, &["users", "revoke", "nobody@example.com"]),
        (2, &["users", "list", "--after", "nonsense"]),
        (5, &["admin", "create", "--email", "admin@example.com"]),
        (4, &["admin", "create", "--email", "eve@example.com", "--password-stdin"]),
        (3, &["admin", "password", "--email", "nobody@example.com", "--yes"]),
        (4, &["admin", "password"]),
        (4, &["admin", "password", "--password-stdin", "--yes"]),
        (3, &["products", "show", NOTHING]),
        (2, &["products", "list", "--after", "nonsense"]),
        (2, &["products", "list", "--search", "mug", "--after", "nonsense"]),
        (3, &["products", "update", NOTHING, "--price", "1", "--yes"]),
        (4, &["products", "update", &mug, "--price", "1"]),
        (5, &["products", "update", &mug, "--price", "1", "--expected", "9-9"]),
        (3, &["products", "delete", NOTHING, "--yes"]),
        (4, &["products", "delete", &mug]),
        (5, &["products", "delete", &mug, "--expected", "9-9", "--yes"]),
        (4, &["products", "delete", &mug, "--confirm", "another"]),
        (3, &["stock", "show", NOTHING]),
        (3, &["stock", "adjust", NOTHING, "1", "--reason", "x"]),
        (5, &["stock", "adjust", &mug, "-9", "--reason", "x"]),
        (3, &["stock", "set", NOTHING, "1", "--reason", "x"]),
        (3, &["stock", "movements", NOTHING]),
        (2, &["stock", "low", "--after", "nonsense"]),
        (3, &["orders", "show", NOTHING]),
        (3, &["orders", "list", "--user", "nobody@example.com"]),
        (2, &["orders", "list", "--after", "nonsense"]),
        (3, &["orders", "cancel", NOTHING, "--yes"]),
        (4, &["orders", "cancel", &order]),
        (3, &["orders", "refund", NOTHING, "--restock", "--yes"]),
        (5, &["orders", "refund", &order, "--restock", "--yes"]),
        (3, &["orders", "watch", NOTHING]),
        (3, &["payments", "show", NOTHING]),
        (2, &["payments", "list", "--after", "nonsense"]),
        (6, &["payments", "reconcile"]),
    ];
    for (code, command) in failing {
        let failed = shopctl_reading(&environment, command, "");
        assert_eq!(failed.status.code(), Some(*code), "{command:?} {}", stderr(&failed));
        assert!(stderr(&failed).starts_with("error: "), "{command:?} {}", stderr(&failed));
        assert!(stderr(&failed).contains("\n  next: "), "{command:?} {}", stderr(&failed));
        assert_eq!(stdout(&failed), "", "{command:?} printed something as if it were data");
    }

    // Each waits for PostgreSQL for a while, so all do at once.
    let away = environment.with("DATABASE_URL", "postgres://shop@127.0.0.1:9/shop");
    let lists = [["users", "list"], ["products", "list"], ["stock", "low"], ["orders", "list"], ["payments", "list"]];
    std::thread::scope(|scope| {
        for list in lists {
            let away = &away;
            scope.spawn(move || {
                let failed = shopctl(away, &list);
                assert_eq!(failed.status.code(), Some(6), "{list:?} {}", stderr(&failed));
                assert!(stderr(&failed).contains("\n  next: "), "{list:?} {}", stderr(&failed));
            });
        }
    });
}
