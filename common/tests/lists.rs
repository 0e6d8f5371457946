//! Lists and search, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use shop_common::db::MIGRATOR;
use shop_common::id::{ProductId, UserId};
use shop_common::orders::queries::{self as orders, OrderColumn, OrderFilter};
use shop_common::orders::status::OrderStatus;
use shop_common::orders::{Order, status};
use shop_common::pagination::cursor::InvalidCursor;
use shop_common::pagination::{Column, Direction, Page, PageRequest};
use shop_common::products::movements::{self, MovementColumn};
use shop_common::products::search::{self, Relevance, SearchText};
use shop_common::products::stock;
use shop_common::products::{
    Expected, Product, ProductChanges, ProductColumn, ProductFilter, ProductName, Stock, queries as products,
};
use shop_common::reason::Reason;
use shop_testkit::{Shop, money};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

const DIRECTIONS: [Direction; 2] = [Direction::Ascending, Direction::Descending];
const PRODUCT_COLUMNS: [ProductColumn; 6] = [
    ProductColumn::Id,
    ProductColumn::Name,
    ProductColumn::Price,
    ProductColumn::Stock,
    ProductColumn::CreatedAt,
    ProductColumn::UpdatedAt,
];
const ORDER_COLUMNS: [OrderColumn; 5] =
    [OrderColumn::Id, OrderColumn::Status, OrderColumn::Total, OrderColumn::CreatedAt, OrderColumn::UpdatedAt];

/// So many products, of which many are equal in whatever they can be sorted by.
async fn many_products(pool: &PgPool, count: i32) {
    sqlx::query(
        "INSERT INTO products (id, name, description, price_minor, stock, created_at, updated_at)
         SELECT gen_random_uuid(), 'Mug ' || n % 4, 'the ' || n || 'th', 100 * (1 + n % 5), n % 3,
                '2026-01-01Z'::timestamptz + n % 6 * interval '1 microsecond',
                '2026-01-01Z'::timestamptz - n % 7 * interval '1 hour'
         FROM generate_series(1, $1) AS n",
    )
    .bind(count)
    .execute(pool)
    .await
    .unwrap();
}

/// A product with that name, description, price in cents, and stock.
async fn product(pool: &PgPool, name: &str, description: &str, price: i64, stock: i64) -> ProductId {
    let id = ProductId::new();
    sqlx::query("INSERT INTO products (id, name, description, price_minor, stock) VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(name)
        .bind(description)
        .bind(price)
        .bind(stock)
        .execute(pool)
        .await
        .unwrap();
    id
}

/// So many orders of a customer, of which many are equal in whatever they can be sorted by, a minute apart.
async fn many_orders(pool: &PgPool, owner: UserId, count: i32) {
    sqlx::query(
        "INSERT INTO orders (id, user_id, status, total_minor, currency, payment_method, created_at, updated_at)
         SELECT gen_random_uuid(), $1, (ARRAY['COMPLETED', 'FAILED', 'PENDING'])[1 + n % 3], 1 + n % 5, 'USD', 'test',
                '2026-01-01Z'::timestamptz + n / 2 * interval '1 minute',
                '2026-02-01Z'::timestamptz - n % 4 * interval '1 hour'
         FROM generate_series(1, $2) AS n",
    )
    .bind(owner)
    .bind(count)
    .execute(pool)
    .await
    .unwrap();
}

/// The ids of a table as PostgreSQL sorts them.
async fn sorted(pool: &PgPool, table: &str, column: &str, direction: Direction) -> Vec<Uuid> {
    let direction = direction.sql();
    let sql = format!("SELECT id FROM {table} ORDER BY {column} {direction}, id {direction}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
}

/// All pages of a list, one by cursor after the other.
async fn walk<C: Column, T>(first: PageRequest<C>, page: impl AsyncFn(PageRequest<C>) -> Page<T>) -> Vec<T> {
    let (mut request, mut all) = (first.clone(), Vec::new());
    loop {
        let page = page(request).await;
        all.extend(page.items);
        assert_eq!(page.has_next_page, page.next_cursor.is_some());
        let Some(cursor) = page.next_cursor else { return all };
        request = first.clone().after(&cursor.to_string()).unwrap();
    }
}

/// The whole catalogue, or what of it passes the filter, seven at a time.
async fn walk_products(
    pool: &PgPool,
    search: Option<&SearchText>,
    filter: &ProductFilter,
    column: ProductColumn,
    direction: Direction,
) -> Vec<Product> {
    let first = PageRequest::first(column, direction, 7, &(search, filter));
    walk(first, async |page| products::list(pool, search, filter, &page).await.unwrap()).await
}

async fn walk_orders(pool: &PgPool, filter: &OrderFilter, column: OrderColumn, direction: Direction) -> Vec<Order> {
    let first = PageRequest::first(column, direction, 7, filter);
    walk(first, async |page| orders::list(pool, filter, &page).await.unwrap()).await
}

fn ids(products: &[Product]) -> Vec<Uuid> {
    products.iter().map(|product| product.id.0).collect()
}

fn text(text: &str) -> SearchText {
    SearchText::read(text).unwrap().unwrap()
}

fn best_first(take: u32, search: &SearchText, filter: &ProductFilter) -> PageRequest<Relevance> {
    PageRequest::first(Relevance, Direction::Descending, take, &(search, filter))
}

/// The first hundred products that are found, the best match first.
async fn find(pool: &PgPool, searched: &str) -> Page<Product> {
    let (searched, filter) = (text(searched), ProductFilter::default());
    search::ranked(pool, &searched, &filter, &best_first(100, &searched, &filter)).await.unwrap()
}

async fn found(pool: &PgPool, searched: &str) -> Vec<String> {
    find(pool, searched).await.items.into_iter().map(|product| product.name).collect()
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn products_walked_by_cursor_come_each_once_and_in_order(pool: PgPool) {
    many_products(&pool, 60).await;
    sqlx::query("UPDATE products SET deleted_at = now() WHERE description = 'the 7th'").execute(&pool).await.unwrap();
    let listed = "(SELECT * FROM products WHERE deleted_at IS NULL) AS listed";

    for column in PRODUCT_COLUMNS {
        for direction in DIRECTIONS {
            let walked = walk_products(&pool, None, &ProductFilter::default(), column, direction).await;
            assert_eq!(ids(&walked), sorted(&pool, listed, column.sql(), direction).await, "{column:?} {direction:?}");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_was_there_all_the_time_comes_once_while_other_products_come_and_go(pool: PgPool) {
    many_products(&pool, 40).await;
    let there: BTreeSet<Uuid> = sorted(&pool, "products", "id", Direction::Ascending).await.into_iter().collect();
    let filter = ProductFilter::default();

    for column in PRODUCT_COLUMNS {
        for direction in DIRECTIONS {
            let first = PageRequest::first(column, direction, 3, &filter);
            let walked = walk(first, async |request| {
                let page = products::list(&pool, None, &filter, &request).await.unwrap();
                // Others come before, among and behind those; and the last row of the page may be gone.
                sqlx::query("DELETE FROM products WHERE NOT id = ANY($1)")
                    .bind(there.iter().copied().collect::<Vec<_>>())
                    .execute(&pool)
                    .await
                    .unwrap();
                many_products(&pool, 20).await;
                page
            })
            .await;
            let ids = ids(&walked);
            let distinct: BTreeSet<Uuid> = ids.iter().copied().collect();
            assert_eq!(distinct.len(), ids.len(), "twice: {column:?} {direction:?}");
            assert!(distinct.is_superset(&there), "missed: {column:?} {direction:?}");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn orders_walked_by_cursor_come_each_once_in_order_and_only_their_owners(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    let (ada, bob) = (shop.customer().await, shop.customer().await);
    many_orders(&pool, ada, 40).await;
    many_orders(&pool, bob, 40).await;
    let adas = format!("(SELECT * FROM orders WHERE user_id = '{ada}') AS listed");

    for column in ORDER_COLUMNS {
        for direction in DIRECTIONS {
            let walked = walk_orders(&pool, &OrderFilter::of(ada), column, direction).await;
            let walked: Vec<Uuid> = walked.iter().map(|order| order.id.0).collect();
            assert_eq!(walked, sorted(&pool, &adas, column.sql(), direction).await, "{column:?} {direction:?}");
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn skipped_pages_and_pages_by_cursor_are_the_same(pool: PgPool) {
    many_products(&pool, 20).await;
    let filter = ProductFilter::default();
    let first = PageRequest::first(ProductColumn::Price, Direction::Descending, 6, &filter);
    let list = async |page| products::list(&pool, None, &filter, &page).await.unwrap();

    let skipped = list(first.clone().skip(6)).await;
    let cursor = list(first.clone()).await.next_cursor.unwrap().to_string();
    let after = list(first.clone().after(&cursor).unwrap()).await;

    assert_eq!(ids(&skipped.items), ids(&after.items));
    assert_eq!((skipped.total_count, after.total_count), (20, 20));
    assert_eq!(list(first.clone().skip(14)).await.next_cursor, None);
    assert_eq!(list(first.skip(50)).await.total_count, 20);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_cursor_is_refused_by_lists_with_another_filter_or_owner(pool: PgPool) {
    many_products(&pool, 3).await;
    let (cheap, all) =
        (ProductFilter { max_price: Some(money("3")), ..ProductFilter::default() }, ProductFilter::default());
    let first = |filter: &ProductFilter| PageRequest::first(ProductColumn::Id, Direction::Ascending, 1, filter);
    let cursor = products::list(&pool, None, &all, &first(&all)).await.unwrap().next_cursor.unwrap().to_string();

    assert!(first(&all).after(&cursor).is_ok());
    assert_eq!(first(&cheap).after(&cursor), Err(InvalidCursor));
    let orders_of =
        |owner| PageRequest::first(OrderColumn::Id, Direction::Ascending, 1, &OrderFilter::of(owner)).after(&cursor);
    assert_eq!(orders_of(UserId::new()), Err(InvalidCursor));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn products_are_chosen_by_price_and_stock(pool: PgPool) {
    many_products(&pool, 60).await;
    let (min_price, max_price) = (Some(money("2")), Some(money("4")));
    for (filter, condition) in [
        (ProductFilter { min_price, ..ProductFilter::default() }, "price_minor >= 200"),
        (ProductFilter { max_price, ..ProductFilter::default() }, "price_minor <= 400"),
        (ProductFilter { min_price, max_price, ..ProductFilter::default() }, "price_minor BETWEEN 200 AND 400"),
        (ProductFilter { in_stock: Some(true), ..ProductFilter::default() }, "stock > 0"),
        (ProductFilter { in_stock: Some(false), ..ProductFilter::default() }, "stock = 0"),
        (ProductFilter { min_price: max_price, max_price: min_price, ..ProductFilter::default() }, "false"),
        (
            ProductFilter { min_price, max_price, in_stock: Some(true), ..ProductFilter::default() },
            "price_minor BETWEEN 200 AND 400 AND stock > 0",
        ),
    ] {
        let listed = format!("(SELECT * FROM products WHERE {condition}) AS listed");
        for column in [ProductColumn::Id, ProductColumn::Name, ProductColumn::Price] {
            let walked = walk_products(&pool, None, &filter, column, Direction::Ascending).await;
            let expected = sorted(&pool, &listed, column.sql(), Direction::Ascending).await;
            assert_eq!(ids(&walked), expected, "{condition} {column:?}");
            let request = PageRequest::first(column, Direction::Ascending, 1, &filter);
            let page = products::list(&pool, None, &filter, &request).await.unwrap();
            assert_eq!(page.total_count, i64::try_from(expected.len()).unwrap(), "{condition}");
            assert!(!page.total_count_is_estimate);
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn orders_are_chosen_by_status_and_time(pool: PgPool) {
    use status::OrderStatus::{Completed, Failed, Pending, Refunded};
    let shop = Shop::new(pool.clone());
    let ada = shop.customer().await;
    many_orders(&pool, ada, 30).await;
    let minute = |minute: u32| Some(format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap());
    let all = OrderFilter::of(ada);
    let with = |statuses: &[OrderStatus]| OrderFilter { statuses: statuses.to_vec(), ..all.clone() };
    // Two orders are made in each minute, but for the first and the last.
    for (filter, count) in [
        (with(&[Failed]), 10),
        (with(&[Failed, Pending]), 20),
        (with(&[Completed, Failed, Pending]), 30),
        (with(&[Refunded]), 0),
        (OrderFilter { from: minute(3), to: minute(5), ..all.clone() }, 4),
        (OrderFilter { from: minute(3), ..all.clone() }, 25),
        (OrderFilter { to: minute(3), ..all.clone() }, 5),
        (OrderFilter { from: minute(5), to: minute(5), ..all.clone() }, 0),
        (OrderFilter { from: minute(3), to: minute(6), ..with(&[Failed]) }, 2),
    ] {
        for column in ORDER_COLUMNS {
            let walked = walk_orders(&pool, &filter, column, Direction::Descending).await;
            assert_eq!(walked.len(), count, "{filter:?}");
            for order in walked {
                assert!(filter.statuses.is_empty() || filter.statuses.contains(&order.status));
                assert!(filter.from.is_none_or(|from| from <= order.created_at));
                assert!(filter.to.is_none_or(|to| order.created_at < to));
            }
        }
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn words_are_found_in_every_form_and_in_names_first(pool: PgPool) {
    product(&pool, "Tea towel", "Striped, goes with the enamel mug.", 890, 1).await;
    product(&pool, "Enamel mugs", "White, with a blue rim.", 1250, 1).await;
    product(&pool, "Wooden spoon", "Olive wood.", 640, 1).await;

    assert_eq!(found(&pool, "mug").await, ["Enamel mugs", "Tea towel"]);
    assert_eq!(found(&pool, "MUGS blue").await, ["Enamel mugs"]);
    assert_eq!(found(&pool, "\"enamel mug\"").await, ["Enamel mugs", "Tea towel"]);
    assert_eq!(found(&pool, "mug -towel").await, ["Enamel mugs"]);
    assert_eq!(found(&pool, "spoon or towel").await.len(), 2);
    assert_eq!(find(&pool, "mug").await.total_count, 2);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn misspelt_words_are_found_by_the_most_similar_ones_and_only_when_nothing_else_is(pool: PgPool) {
    product(&pool, "Enamel mug", "White.", 1250, 1).await;
    product(&pool, "Beeswax candle", "Burns for forty hours.", 1400, 1).await;
    product(&pool, "Enamle", "A word that looks like another.", 1400, 1).await;

    assert_eq!(found(&pool, "beewsax").await, ["Beeswax candle"]);
    assert_eq!(found(&pool, "cand").await, ["Beeswax candle"], "the beginning of a word");
    assert_eq!(found(&pool, "candel 350 qqqqqq").await, ["Beeswax candle"], "what is like nothing is left out");
    assert_eq!(found(&pool, "enamle").await, ["Enamle"]);
    assert_eq!(found(&pool, "qqqqqq").await, [""; 0]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_search_is_an_error(pool: PgPool) {
    product(&pool, "Enamel mug", "White.", 1250, 1).await;
    let long = "mug ".repeat(50);
    for odd in [
        "!!!",
        "'",
        "\"",
        "\\",
        "mug'",
        "a & | ! <-> ( b",
        ":*",
        "mug:*",
        "-",
        "--mug",
        "-mug",
        "or",
        "the",
        "<->",
        "%",
        "mug\0",
        "\u{202e}",
        "🫖",
        "ß",
        "http://a.b/c?d=e",
        "a@b.c",
        "$1",
        "'; DROP TABLE products; --",
        long.trim(),
    ] {
        let page = find(&pool, odd).await;
        let searched = text(odd);
        let request = PageRequest::first(ProductColumn::Name, Direction::Ascending, 10, &searched);
        let sorted = products::list(&pool, Some(&searched), &ProductFilter::default(), &request).await.unwrap();
        assert_eq!(page.total_count, sorted.total_count, "{odd}");
    }
    assert_eq!(SearchText::read(" \0 "), Ok(None));
    assert!(SearchText::read(&"x".repeat(201)).is_err());
    assert!(SearchText::read(&"é".repeat(200)).is_ok());
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn search_follows_edits_and_deletions_at_once(pool: PgPool) {
    let id = product(&pool, "Enamel mug", "White.", 1250, 5).await;
    let renamed = ProductChanges {
        name: Some(ProductName::try_from("Glass jar".to_owned()).unwrap()),
        ..ProductChanges::default()
    };

    products::update(&pool, id, &Expected::Any, &renamed, None).await.unwrap();
    assert_eq!(found(&pool, "mug").await, [""; 0]);
    assert_eq!(found(&pool, "jar").await, ["Glass jar"]);
    assert_eq!(found(&pool, "glas").await, ["Glass jar"]);
    let reason = "counted".parse::<Reason>().unwrap();
    stock::adjust(&pool, id, -5, &reason, None).await.unwrap();
    assert_eq!(find(&pool, "jar").await.items[0].stock, 0);
    products::delete(&pool, id, &Expected::Any).await.unwrap();
    assert_eq!(found(&pool, "jar").await, [""; 0]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_is_found_can_be_filtered_sorted_and_walked(pool: PgPool) {
    for n in 0..20 {
        let description = if n % 2 == 0 { "a mug, for tea" } else { "for tea" };
        product(&pool, &format!("Mug {n:02}"), description, 100 * (1 + n % 4), n % 3).await;
        product(&pool, &format!("Jar {n:02}"), "for jam", 100, 1).await;
    }
    let (mug, everything) = (text("mug"), ProductFilter::default());
    let cheap = ProductFilter { max_price: Some(money("2")), in_stock: Some(true), ..ProductFilter::default() };

    for (filter, count) in [(&everything, 20), (&cheap, 7)] {
        let by_rank = walk(best_first(3, &mug, filter), async |page| {
            let page = search::ranked(&pool, &mug, filter, &page).await.unwrap();
            assert_eq!(
                (page.total_count, page.total_count_is_estimate, page.incomplete_results),
                (count, false, false)
            );
            page
        })
        .await;
        let distinct: BTreeSet<Uuid> = ids(&by_rank).into_iter().collect();
        assert_eq!((by_rank.len() as i64, distinct.len()), (count, by_rank.len()));
        let twice = by_rank.iter().take_while(|product| product.description.contains("mug")).count();
        assert!(by_rank[twice..].iter().all(|product| !product.description.contains("mug")), "the best come first");
        let worst_first = PageRequest::first(Relevance, Direction::Ascending, 100, &(&mug, filter));
        let mut reversed = ids(&search::ranked(&pool, &mug, filter, &worst_first).await.unwrap().items);
        reversed.reverse();
        assert_eq!(reversed, ids(&by_rank));

        let by_name = walk_products(&pool, Some(&mug), filter, ProductColumn::Name, Direction::Ascending).await;
        assert_eq!(by_name.len(), by_rank.len());
        assert!(by_name.is_sorted_by(|one, other| one.name < other.name));
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn of_more_than_a_thousand_matches_the_newest_are_ranked_and_the_answer_says_so(pool: PgPool) {
    let oldest = product(&pool, "Mug mug mug", "the best match", 100, 1).await;
    sqlx::query(
        "INSERT INTO products (id, name, price_minor, stock)
         SELECT ('ffffffff-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Mug ' || n, 1200 - n, 1
         FROM generate_series(1, 1000) AS n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let (mug, everything) = (text("mug"), ProductFilter::default());

    let ranked = walk(best_first(100, &mug, &everything), async |page| {
        let page = search::ranked(&pool, &mug, &everything, &page).await.unwrap();
        assert!(page.incomplete_results && page.total_count_is_estimate && page.total_count > 1000);
        page
    })
    .await;
    assert_eq!(ranked.len(), search::MAX_RANKED);
    assert!(ranked.iter().all(|product| product.id != oldest));

    let sorted = walk_products(&pool, Some(&mug), &everything, ProductColumn::Price, Direction::Ascending).await;
    assert_eq!((sorted.len(), sorted[0].id), (1001, oldest));

    products::delete(&pool, oldest, &Expected::Any).await.unwrap();
    let page = find(&pool, "mug").await;
    assert_eq!((page.total_count, page.incomplete_results, page.total_count_is_estimate), (1000, false, false));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_list_by_stock_follows_orders_edits_and_deletions(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    let (cup, mug, jug) = (shop.product("1", 3).await, shop.product("1", 5).await, shop.product("1", 7).await);
    let by_stock = async || {
        let everything = ProductFilter::default();
        let listed = walk_products(&pool, None, &everything, ProductColumn::Stock, Direction::Ascending).await;
        listed.into_iter().map(|product| (product.id, product.stock)).collect::<Vec<_>>()
    };
    assert_eq!(by_stock().await, [(cup, 3), (mug, 5), (jug, 7)]);

    shop.order(shop.customer().await, &[(mug, 1), (jug, 6)], "test").await;
    assert_eq!(by_stock().await, [(jug, 1), (cup, 3), (mug, 4)]);

    let reason = "found one".parse::<Reason>().unwrap();
    stock::adjust(&pool, jug, 9, &reason, None).await.unwrap();
    let sold_out = ProductChanges { stock: Some(Stock::try_from(0).unwrap()), ..ProductChanges::default() };
    products::update(&pool, cup, &Expected::Any, &sold_out, None).await.unwrap();
    assert_eq!(by_stock().await, [(cup, 0), (mug, 4), (jug, 10)]);

    products::delete(&pool, mug, &Expected::Any).await.unwrap();
    assert_eq!(by_stock().await, [(cup, 0), (jug, 10)]);
    sqlx::query("UPDATE products SET deleted_at = NULL").execute(&pool).await.unwrap();
    assert_eq!(by_stock().await, [(cup, 0), (mug, 4), (jug, 10)]);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_list_by_stock_is_the_same_whether_few_or_many_have_such_a_stock(pool: PgPool) {
    many_products(&pool, 3_300).await;
    let sold_out = ProductFilter { in_stock: Some(false), ..ProductFilter::default() };
    let one_at_most = ProductFilter { max_stock: Some(1), ..ProductFilter::default() };
    for left in [1_100, 30] {
        for column in PRODUCT_COLUMNS {
            for (filter, stocks) in [(&sold_out, "stock = 0"), (&one_at_most, "stock <= 1")] {
                let request = PageRequest::first(column, Direction::Ascending, 100, filter);
                let listed =
                    walk(request, async |page| products::list(&pool, None, filter, &page).await.unwrap()).await;
                let table = format!("(SELECT * FROM products WHERE {stocks}) AS products");
                assert_eq!(ids(&listed), sorted(&pool, &table, column.sql(), Direction::Ascending).await, "{left}");
            }
        }
        sqlx::query(
            "UPDATE products SET stock = stock + 5 WHERE id IN (
                 SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY stock) AS n FROM products) AS numbered WHERE n > 30
             )",
        )
        .execute(&pool)
        .await
        .unwrap();
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn no_index_of_products_has_the_stock_in_it_because_orders_would_write_all_of_them(pool: PgPool) {
    let with_stock: Vec<String> =
        sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE tablename = 'products' AND indexdef ~ '\\mstock\\M'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(with_stock, [] as [String; 0]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_total_is_exact_up_to_ten_thousand_and_estimated_above(pool: PgPool) {
    sqlx::raw_sql(
        "ALTER TABLE products DISABLE TRIGGER USER;
         INSERT INTO products (id, name, price_minor, stock)
         SELECT gen_random_uuid(), 'Mug', n, 1 FROM generate_series(1, 25000) AS n;
         ANALYZE products;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let total = async |max: i64, take: u32| {
        let cents = format!("{max}e-2");
        let filter = ProductFilter { max_price: Some(money(&cents)), ..ProductFilter::default() };
        let request = PageRequest::first(ProductColumn::Id, Direction::Ascending, take, &filter);
        let page = products::list(&pool, None, &filter, &request).await.unwrap();
        (page.total_count, page.total_count_is_estimate)
    };

    assert_eq!(total(50, 100).await, (50, false));
    assert_eq!(total(9_900, 10).await, (9_900, false));
    assert_eq!(total(10_000, 10).await, (10_000, false));
    for (matches, total) in [(12_000, total(12_000, 10).await), (25_000, total(25_000, 10).await)] {
        assert!(total.1, "{total:?}");
        assert!((matches - total.0).abs() < matches / 5, "{total:?}");
    }
    // The last page knows how many came before it.
    let filter = ProductFilter::default();
    let last = PageRequest::first(ProductColumn::Id, Direction::Ascending, 100, &filter).skip(24_950);
    let page = products::list(&pool, None, &filter, &last).await.unwrap();
    assert_eq!((page.items.len(), page.total_count, page.total_count_is_estimate), (50, 25_000, false));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn the_movements_of_a_stock_come_newest_first(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    let (mug, other) = (shop.product("1.00", 10).await, shop.product("1.00", 1).await);
    let actor = shop.customer().await;
    for delta in 1..=9 {
        let reason = format!("count {delta}").parse::<Reason>().unwrap();
        stock::adjust(&pool, mug, delta, &reason, Some(actor)).await.unwrap();
    }
    let first = PageRequest::first(MovementColumn::Id, Direction::Descending, 4, &mug);
    let list = async |page| movements::list(&pool, mug, &page).await.unwrap().unwrap();

    let walked = walk(first.clone(), list).await;
    let moved: Vec<i64> = walked.iter().map(|movement| movement.delta).collect();
    assert_eq!(moved, [9, 8, 7, 6, 5, 4, 3, 2, 1, 10]);
    assert_eq!((walked[0].reason.as_str(), walked[0].actor_id), ("count 9", Some(actor)));
    assert_eq!((walked[9].reason.as_str(), walked[9].actor_id), ("initial stock", None));
    assert_eq!(list(first.clone()).await.total_count, 10);

    products::delete(&pool, other, &Expected::Any).await.unwrap();
    assert_eq!(movements::list(&pool, other, &first).await.unwrap().unwrap().items.len(), 1);
    assert!(movements::list(&pool, ProductId::new(), &first).await.unwrap().is_none());
}

#[sqlx::test(migrations = false)]
async fn the_migration_makes_what_is_there_already_searchable(pool: PgPool) {
    for migration in MIGRATOR.iter().filter(|migration| migration.version < 6) {
        sqlx::raw_sql(AssertSqlSafe(migration.sql.as_str().to_owned())).execute(&pool).await.unwrap();
    }
    product(&pool, "Enamel mug", "White.", 1250, 5).await;
    let gone = product(&pool, "Enamel jug", "White.", 1250, 5).await;
    sqlx::query("UPDATE products SET deleted_at = now() WHERE id = $1").bind(gone).execute(&pool).await.unwrap();
    let lists = MIGRATOR.iter().find(|migration| migration.version == 6).unwrap();

    sqlx::raw_sql(AssertSqlSafe(lists.sql.as_str().to_owned())).execute(&pool).await.unwrap();

    // What is searched for is read with the columns of today.
    for migration in MIGRATOR.iter().filter(|migration| migration.version > 6) {
        sqlx::raw_sql(AssertSqlSafe(migration.sql.as_str().to_owned())).execute(&pool).await.unwrap();
    }
    assert_eq!(found(&pool, "enamel").await, ["Enamel mug"]);
    assert_eq!(found(&pool, "enaml").await, ["Enamel mug"]);
}
