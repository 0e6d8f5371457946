//! What operators list, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use shop_common::db::MIGRATOR;
use shop_common::id::UserId;
use shop_common::orders::queries::{OrderColumn, OrderFilter};
use shop_common::orders::record as orders;
use shop_common::orders::status::OrderStatus;
use shop_common::pagination::{Column, Direction, Page, PageRequest};
use shop_common::payments::PaymentStatus;
use shop_common::payments::record::{self as payments, PaymentColumn, PaymentFilter};
use shop_common::products::stock::{self, Held, Recounted};
use shop_common::reason::Reason;
use shop_common::time;
use shop_common::users::Role;
use shop_common::users::directory::{self, UserColumn, UserFilter};
use shop_testkit::{Shop, money};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];

/// Thirty users, every third an admin; of each three orders and their payments, of which many are equal in whatever they
/// can be sorted by.
async fn fill(pool: &PgPool) {
    sqlx::raw_sql(
        "INSERT INTO users (id, email, role, password_hash)
         SELECT gen_random_uuid(), 'user_' || n || '@example.com', CASE WHEN n % 3 = 0 THEN 'ADMIN' ELSE 'CLIENT' END, 'none'
         FROM generate_series(1, 30) AS n;
         INSERT INTO orders (id, user_id, status, total_minor, currency, payment_method, created_at)
         SELECT gen_random_uuid(), id, (ARRAY['COMPLETED', 'FAILED', 'PENDING'])[n], n * 100, 'USD', 'pm_' || n,
                '2026-01-01Z'::timestamptz + n * interval '1 hour'
         FROM users CROSS JOIN generate_series(1, 3) AS n;
         INSERT INTO payments (id, order_id, amount_minor, currency, method, status, reference, created_at)
         SELECT gen_random_uuid(), id, total_minor, currency, payment_method, status, 'ch', created_at FROM orders",
    )
    .execute(pool)
    .await
    .unwrap();
}

/// The ids of a table as PostgreSQL sorts and filters them.
async fn ids(pool: &PgPool, table: &str, matches: &str, column: &str, direction: Direction) -> Vec<Uuid> {
    let direction = direction.sql();
    let sql = format!("SELECT id FROM {table} WHERE {matches} ORDER BY {column} {direction}, id {direction}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
}

/// All pages of a list, one by cursor after the other; each says how long the list is.
async fn walk<C: Column, T>(first: PageRequest<C>, page: impl AsyncFn(PageRequest<C>) -> Page<T>) -> Vec<T> {
    let (mut request, mut all) = (first.clone(), Vec::new());
    loop {
        let page = page(request).await;
        all.extend(page.items);
        let Some(cursor) = page.next_cursor else { return all };
        request = first.clone().after(&cursor.to_string()).unwrap();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn pages_of_users_have_each_that_passes_once_and_in_order(pool: PgPool) {
    fill(&pool).await;
    let admins = UserFilter { role: Some(Role::Admin), ..UserFilter::default() };
    let part = UserFilter { email: Some("R_1".parse().unwrap()), ..UserFilter::default() };
    let both = UserFilter { role: Some(Role::Admin), ..part.clone() };
    let like = r"email LIKE '%r\_1%'";
    for (filter, matches) in [
        (UserFilter::default(), "true"),
        (admins, "role = 'ADMIN'"),
        (part, like),
        (both, &format!("role = 'ADMIN' AND {like}")),
    ] {
        for (column, name) in [(UserColumn::Id, "id"), (UserColumn::Email, "email")] {
            for direction in DIRECTIONS {
                let first = PageRequest::first(column, direction, 4, &filter);
                let walked = walk(first, async |page| directory::list(&pool, &filter, &page).await.unwrap()).await;
                let walked: Vec<Uuid> = walked.iter().map(|user| user.id.0).collect();
                assert_eq!(walked, ids(&pool, "users", matches, name, direction).await, "{filter:?} {column:?}");
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn pages_of_everybodys_orders_have_each_that_passes_once_in_order_and_with_its_customer(pool: PgPool) {
    use OrderStatus::{Completed, Failed, Pending};
    fill(&pool).await;
    let ada: UserId = sqlx::query_scalar("SELECT id FROM users LIMIT 1").fetch_one(&pool).await.unwrap();
    let all = OrderFilter::of_anybody();
    let with = |statuses: &[OrderStatus]| OrderFilter { statuses: statuses.to_vec(), ..all.clone() };
    let at = |hour: i64| time::read(&format!("2026-01-01T0{hour}:00:00Z"));
    for (filter, matches) in [
        (all.clone(), "true".to_owned()),
        (with(&[Failed]), "status = 'FAILED'".to_owned()),
        (with(&[Completed, Pending]), "status IN ('COMPLETED', 'PENDING')".to_owned()),
        (OrderFilter { from: at(2), to: at(3), ..all.clone() }, "total_minor = 200".to_owned()),
        (OrderFilter { min_total: Some(money("1.01")), ..all.clone() }, "total_minor >= 200".to_owned()),
        (OrderFilter { max_total: Some(money("1")), ..all.clone() }, "total_minor <= 100".to_owned()),
        (
            OrderFilter { max_total: Some(money("1")), ..OrderFilter::of(ada) },
            format!("total_minor = 100 AND user_id = '{ada}'"),
        ),
    ] {
        for (column, name) in
            [(OrderColumn::Id, "id"), (OrderColumn::CreatedAt, "created_at"), (OrderColumn::Total, "total_minor")]
        {
            for direction in DIRECTIONS {
                let first = PageRequest::first(column, direction, 7, &filter);
                let walked = walk(first, async |page| orders::list(&pool, &filter, &page).await.unwrap()).await;
                for listed in &walked {
                    let owner: UserId = sqlx::query_scalar("SELECT user_id FROM orders WHERE id = $1")
                        .bind(listed.order.id)
                        .fetch_one(&pool)
                        .await
                        .unwrap();
                    assert_eq!(listed.customer.id, owner);
                }
                let walked: Vec<Uuid> = walked.iter().map(|listed| listed.order.id.0).collect();
                assert_eq!(walked, ids(&pool, "orders", &matches, name, direction).await, "{filter:?} {column:?}");
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn pages_of_payments_have_each_that_passes_once_and_in_order(pool: PgPool) {
    fill(&pool).await;
    let all = PaymentFilter::default();
    let failed = PaymentFilter { status: Some(PaymentStatus::Failed), ..all.clone() };
    let method = PaymentFilter { method: Some("pm_3".to_owned().try_into().unwrap()), ..all.clone() };
    let one = PageRequest::first(PaymentColumn::Id, Direction::Ascending, 1, &all);
    let order = payments::list(&pool, &all, &one).await.unwrap().items[0].order_id;
    let early = PaymentFilter { to: time::read("2026-01-01T02:00:00Z"), ..all.clone() };
    for (filter, matches) in [
        (all.clone(), "true"),
        (failed, "status = 'FAILED'"),
        (method, "method = 'pm_3'"),
        (early, "amount_minor = 100"),
        (PaymentFilter { order: Some(order), ..all }, &format!("order_id = '{order}'")),
    ] {
        for (column, name) in [(PaymentColumn::Id, "id"), (PaymentColumn::CreatedAt, "created_at")] {
            for direction in DIRECTIONS {
                let first = PageRequest::first(column, direction, 7, &filter);
                let walked = walk(first, async |page| payments::list(&pool, &filter, &page).await.unwrap()).await;
                let walked: Vec<Uuid> = walked.iter().map(|payment| payment.id.0).collect();
                assert_eq!(walked, ids(&pool, "payments", matches, name, direction).await, "{filter:?} {column:?}");
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn two_who_count_the_same_product_at_once_leave_movements_that_add_up(pool: PgPool) {
    let shop = Shop::new(pool);
    let mug = shop.product("1", 10).await;
    let order = shop.order(shop.customer().await, &[(mug, 4)], "test").await;
    assert_eq!(stock::held(&shop.pool, mug).await.unwrap(), Held { orders: 1, pieces: 4 });
    let reason: Reason = "counted".parse().unwrap();
    let count = |pieces: i64| stock::recount(&shop.pool, mug, pieces.try_into().unwrap(), &reason, None);

    let (one, other) = futures::future::try_join(count(8), count(3)).await.unwrap();

    let one_after_the_other = [
        (Recounted { before: 6, now: 8 }, Recounted { before: 8, now: 3 }),
        (Recounted { before: 3, now: 8 }, Recounted { before: 6, now: 3 }),
    ];
    assert!(one_after_the_other.contains(&(one, other)), "{one:?} {other:?}");
    shop.assert_sound().await;
    shop_common::orders::cancel::cancel_of_anybody(&shop.pool, &shop.announcer, order, shop_common::db::Ending::Commit)
        .await
        .unwrap();
    assert_eq!(stock::held(&shop.pool, mug).await.unwrap(), Held { orders: 0, pieces: 0 });
    shop.assert_sound().await;
}
