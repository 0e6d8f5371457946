//! The import and the export of the catalogue, on a real database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Cursor;

use shop_common::db::{Ending, MIGRATOR};
use shop_common::id::ProductId;
use shop_common::pagination::{Direction, PageRequest};
use shop_common::products::export::export;
use shop_common::products::import::{Existing, ImportError, Plan, Staging, Summary, Written};
use shop_common::products::queries::{self, CreateError, EditError};
use shop_common::products::search::{self, Relevance, SearchText};
use shop_common::products::{
    Description, Expected, NewProduct, Product, ProductChanges, ProductColumn, ProductFilter, ProductName, Sku, Stock,
};
use shop_common::reason::Reason;
use shop_testkit::{Shop, order_id};
use sqlx::PgPool;

fn reason() -> Reason {
    "import spring.csv".parse().unwrap()
}

/// Reads a file and compares it: what it would do, and the lines that are refused.
async fn staged(pool: &PgPool, file: &str, existing: Existing) -> (Staging, Plan, Vec<(u64, &'static str)>) {
    let mut refusals = Vec::new();
    let mut refused = |refusal: shop_common::products::import::Refusal| {
        refusals.push((refusal.line, refusal.column.unwrap_or("")));
        Ok(())
    };
    let mut staging = Staging::read(pool, Cursor::new(file.to_owned()), &mut refused).await.unwrap();
    let plan = staging.compare(existing, &mut refused).await.unwrap();
    assert_eq!(staging.refused(), u64::try_from(refusals.len()).unwrap());
    (staging, plan, refusals)
}

async fn written(pool: &PgPool, file: &str, existing: Existing) -> Result<Written, ImportError> {
    staged(pool, file, existing).await.0.write(&reason(), &mut |_| ()).await
}

async fn import(pool: &PgPool, file: &str, existing: Existing) -> Summary {
    written(pool, file, existing).await.unwrap().end(pool, Ending::Commit).await.unwrap()
}

async fn exported(pool: &PgPool) -> String {
    let mut file = Vec::new();
    export(pool, &mut file).await.unwrap();
    String::from_utf8(file).unwrap()
}

async fn catalogue(pool: &PgPool) -> Vec<Product> {
    let page = PageRequest::first(ProductColumn::Id, Direction::Ascending, 100, &());
    queries::list(pool, None, &ProductFilter::default(), &page).await.unwrap().items
}

async fn of_sku(pool: &PgPool, sku: &str) -> Product {
    let all = catalogue(pool).await;
    all.into_iter().find(|product| product.sku.as_ref().map(Sku::as_str) == Some(sku)).unwrap()
}

/// What was recorded of a product's stock, oldest first.
async fn movements(pool: &PgPool, product: ProductId) -> Vec<(i64, String)> {
    sqlx::query_as("SELECT delta, reason FROM stock_movements WHERE product_id = $1 ORDER BY id")
        .bind(product)
        .fetch_all(pool)
        .await
        .unwrap()
}

async fn found(pool: &PgPool, words: &str) -> Vec<String> {
    let (words, filter) = (SearchText::read(words).unwrap().unwrap(), ProductFilter::default());
    let page = PageRequest::first(Relevance, Direction::Descending, 100, &());
    let found = search::ranked(pool, &words, &filter, &page).await.unwrap();
    found.items.into_iter().map(|product| product.name).collect()
}

fn new_product(sku: Option<&str>) -> NewProduct {
    NewProduct {
        sku: sku.map(|sku| sku.parse().unwrap()),
        name: ProductName::try_from("Mug".to_owned()).unwrap(),
        description: Description::default(),
        price: "1".parse().unwrap(),
        stock: Stock::try_from(1).unwrap(),
    }
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_sku_is_unique_among_products_that_are_not_deleted(pool: PgPool) {
    let mug = queries::create(&pool, &new_product(Some("MUG")), None).await.unwrap().product;
    let bowl = queries::create(&pool, &new_product(None), None).await.unwrap().product;
    queries::create(&pool, &new_product(None), None).await.unwrap();
    let again = queries::create(&pool, &new_product(Some("MUG")), None).await;
    assert!(matches!(again, Err(CreateError::SkuTaken)), "{again:?}");
    let take = ProductChanges { sku: Some(mug.sku.clone()), ..ProductChanges::default() };
    let taken = queries::update(&pool, bowl.id, &Expected::Any, &take, None).await;
    assert!(matches!(taken, Err(EditError::SkuTaken)), "{taken:?}");

    let give_up = ProductChanges { sku: Some(None), ..ProductChanges::default() };
    assert_eq!(queries::update(&pool, mug.id, &Expected::Any, &give_up, None).await.unwrap().product.sku, None);
    let bowl = queries::update(&pool, bowl.id, &Expected::Any, &take, None).await.unwrap().product;
    assert_eq!(bowl.sku, mug.sku);
    let renamed = ProductChanges { price: Some("2".parse().unwrap()), ..ProductChanges::default() };
    assert_eq!(queries::update(&pool, bowl.id, &Expected::Any, &renamed, None).await.unwrap().product.sku, mug.sku);
    queries::delete(&pool, bowl.id, &Expected::Any).await.unwrap();
    queries::create(&pool, &new_product(Some("MUG")), None).await.unwrap();

    let filter = ProductFilter { sku: mug.sku, ..ProductFilter::default() };
    let page = PageRequest::first(ProductColumn::Id, Direction::Ascending, 10, &filter);
    assert_eq!(queries::list(&pool, None, &filter, &page).await.unwrap().items.len(), 1);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn imported_products_are_as_if_they_had_been_created_one_by_one(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    let file = "sku,name,description,price,stock\nMUG,Enamel mug,\"Blue,\nlarge\",12.50,7\n,Tea towel,,8,0\n";

    let summary = import(&pool, file, Existing::Refuse).await;

    assert_eq!(summary, Summary { read: 2, inserted: 2, ..Summary::default() });
    let [mug, towel] = &catalogue(&pool).await[..] else { panic!("two") };
    assert_eq!((mug.name.as_str(), mug.description.as_str(), mug.stock), ("Enamel mug", "Blue,\nlarge", 7));
    assert_eq!((mug.price.to_string(), mug.sku.as_ref().map(Sku::as_str)), ("12.50".to_owned(), Some("MUG")));
    assert_eq!((towel.name.as_str(), &towel.sku, towel.stock), ("Tea towel", &None, 0));
    assert_eq!(movements(&pool, mug.id).await, [(7, "initial stock".to_owned())]);
    assert!(movements(&pool, towel.id).await.is_empty());
    assert_eq!(found(&pool, "mugs").await, ["Enamel mug"]);
    assert_eq!(found(&pool, "enammel").await, ["Enamel mug"], "misspelt words are looked up among the new ones");
    let customer = shop.customer().await;
    shop.order(customer, &[(mug.id, 2)], "test").await;
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn lines_whose_sku_another_line_or_a_product_has_are_refused(pool: PgPool) {
    queries::create(&pool, &new_product(Some("MUG")), None).await.unwrap();
    let file = "sku,name,price\nA,One,1\nMUG,Two,1\nB,Three,zero\nA,Four,1\n,Five,1\n,Six,1\r\rA,Seven,1\rA,Eight,1\n";

    let (staging, plan, refusals) = staged(&pool, file, Existing::Refuse).await;

    assert_eq!(refusals, [(4, "price"), (5, "sku"), (7, "sku"), (7, "sku"), (3, "sku")]);
    assert_eq!(plan, Plan { new: 3, changed: 0, unchanged: 0 });
    let summary = staging.write(&reason(), &mut |_| ()).await.unwrap().end(&pool, Ending::Commit).await.unwrap();
    assert_eq!(summary, Summary { read: 8, inserted: 3, refused: 5, ..Summary::default() });
    let names: Vec<String> = catalogue(&pool).await.into_iter().map(|product| product.name).collect();
    assert_eq!(names, ["Mug", "One", "Five", "Six"]);
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_update_changes_what_the_file_says_and_records_why_the_stock_is_another(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    import(&pool, "sku,name,description,price,stock\nA,Apron,Red.,5,10\nB,Bowl,,6,1\nC,Cup,,7,3\n", Existing::Refuse)
        .await;
    let (apron, bowl, cup) = (of_sku(&pool, "A").await, of_sku(&pool, "B").await, of_sku(&pool, "C").await);
    shop.order(shop.customer().await, &[(apron.id, 4)], "test").await;

    let file = "sku,name,price,stock\nA,Kitchen apron,5,9\nB,Bowl,6,1\nC,Cup,7.5,3\nD,Dish,8,2\n,Nameless,1,1\n";
    let (staging, plan, refusals) = staged(&pool, file, Existing::Update).await;
    assert_eq!((plan, refusals), (Plan { new: 1, changed: 2, unchanged: 1 }, vec![(6, "sku")]));
    let summary = staging.write(&reason(), &mut |_| ()).await.unwrap().end(&pool, Ending::Commit).await.unwrap();

    assert_eq!(summary, Summary { read: 5, inserted: 1, updated: 2, unchanged: 1, refused: 1, ..Summary::default() });
    let version = async |product: &Product| queries::find(&pool, product.id).await.unwrap().unwrap();
    let (new_apron, new_bowl, new_cup) = (version(&apron).await, version(&bowl).await, version(&cup).await);
    assert_eq!(new_apron.product.name, "Kitchen apron");
    assert_eq!((new_apron.product.description.as_str(), new_apron.product.stock, new_apron.version), ("Red.", 9, 2));
    assert_eq!(
        movements(&pool, apron.id).await,
        [(10, "initial stock".to_owned()), (3, "import spring.csv".to_owned())]
    );
    assert_eq!((&new_bowl.product, new_bowl.version), (&bowl, 1), "what is just so is left alone");
    assert_eq!((new_cup.product.price.to_string(), new_cup.version), ("7.50".to_owned(), 2));
    assert_eq!(movements(&pool, cup.id).await.len(), 1);
    assert_eq!(found(&pool, "kitchen").await, ["Kitchen apron"]);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn what_the_file_has_no_column_for_stays_as_it_is(pool: PgPool) {
    import(&pool, "sku,name,description,price,stock\nA,Apron,Red.,5,10\n", Existing::Refuse).await;

    import(&pool, "price,sku,name\n6,A,Apron\n7,B,Bowl\n", Existing::Update).await;

    assert_eq!(exported(&pool).await, "sku,name,description,price,stock\nA,Apron,Red.,6.00,10\nB,Bowl,,7.00,0\n");
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_dry_run_and_an_import_that_is_dropped_leave_nothing(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    import(&pool, "sku,name,price,stock\nA,Apron,5,10\n", Existing::Refuse).await;
    let before = exported(&pool).await;
    let file = "sku,name,price,stock\nA,Bib,6,11\nB,Bowl,6,1\n";

    let tried = written(&pool, file, Existing::Update).await.unwrap().end(&pool, Ending::DryRun).await.unwrap();
    assert_eq!(tried, Summary { read: 2, inserted: 1, updated: 1, dry_run: true, ..Summary::default() });
    assert_eq!(exported(&pool).await, before);

    drop(written(&pool, file, Existing::Update).await.unwrap());
    assert_eq!(exported(&pool).await, before);
    assert_eq!(found(&pool, "bowl").await, Vec::<String>::new());
    // Nothing of it is locked any more, and the next one goes through.
    import(&pool, file, Existing::Update).await;
    assert_ne!(exported(&pool).await, before);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn orders_are_taken_while_an_import_is_written_and_two_imports_do_not_mix(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    import(&pool, "sku,name,price,stock\nA,Apron,5,10\nB,Bowl,5,10\n", Existing::Refuse).await;
    let (apron, customer) = (of_sku(&pool, "A").await.id, shop.customer().await);

    let open =
        written(&pool, "sku,name,price,stock\nA,Apron,5,10\nB,Bowl,6,10\nC,Cup,7,1\n", Existing::Update).await.unwrap();
    // The apron is just so: it is not locked.
    let placed = shop.placement.place(shop_testkit::order(customer, &[(apron, 3)], "test")).await.unwrap();
    order_id(&placed);
    let other = written(&pool, "sku,name,price\nD,Dish,1\n", Existing::Refuse).await;
    assert!(matches!(other, Err(ImportError::Busy)), "{:?}", other.err());
    let summary = open.end(&pool, Ending::Commit).await.unwrap();

    assert_eq!((summary.inserted, summary.updated, summary.unchanged), (1, 1, 1));
    assert_eq!(shop.stock(apron).await, 7);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn a_sku_that_is_taken_in_the_meantime_and_a_product_that_goes_end_in_nothing_wrong(pool: PgPool) {
    import(&pool, "sku,name,price,stock\nA,Apron,5,10\nB,Bowl,5,10\n", Existing::Refuse).await;
    let (staging, ..) = staged(&pool, "sku,name,price\nC,Cup,1\n", Existing::Refuse).await;
    queries::create(&pool, &new_product(Some("C")), None).await.unwrap();
    let taken = staging.write(&reason(), &mut |_| ()).await;
    assert!(matches!(taken, Err(ImportError::SkuTaken)), "{:?}", taken.err());

    let (staging, ..) = staged(&pool, "sku,name,price\nA,Apron,6\nB,Bowl,6\n", Existing::Update).await;
    queries::delete(&pool, of_sku(&pool, "A").await.id, &Expected::Any).await.unwrap();
    let summary = staging.write(&reason(), &mut |_| ()).await.unwrap().end(&pool, Ending::Commit).await.unwrap();
    assert_eq!((summary.updated, of_sku(&pool, "B").await.price.to_string()), (1, "6.00".to_owned()));
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_export_comes_back_byte_for_byte_however_many_batches_it_is_read_in(pool: PgPool) {
    let shop = Shop::new(pool.clone());
    let line = |n: u32| {
        let sku = if n.is_multiple_of(7) { String::new() } else { format!("SKU {}", 20_000 - n) };
        format!("{sku},Product {n},\"{}, \"\"of\"\"\r\n{n}\",{}.{:02},{}\n", "long ".repeat(30), 1 + n, n % 100, n % 3)
    };
    let file = "sku,name,description,price,stock\n".to_owned() + &(0..12_000).map(line).collect::<String>();

    let summary = import(&pool, &file, Existing::Refuse).await;
    let first = exported(&pool).await;
    sqlx::query("TRUNCATE products, stock_movements CASCADE").execute(&pool).await.unwrap();
    import(&pool, &first, Existing::Refuse).await;

    assert_eq!(summary.inserted, 12_000);
    assert_eq!(first, file);
    assert_eq!(exported(&pool).await, first);
    shop.assert_sound().await;
}

#[sqlx::test(migrator = "MIGRATOR")]
async fn an_import_that_meets_a_deadlock_is_tried_again(pool: PgPool) {
    let mut edit = pool.begin().await.unwrap();
    // It is the import that gives way.
    sqlx::query("SET LOCAL deadlock_timeout = '60s'").execute(&mut *edit).await.unwrap();
    sqlx::query("INSERT INTO product_words VALUES ('zebra')").execute(&mut *edit).await.unwrap();
    let waits =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";

    let editing = async {
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&pool).await.unwrap() {
            tokio::task::yield_now().await;
        }
        // The import has added this word, and waits for the other one.
        sqlx::query("INSERT INTO product_words VALUES ('apple')").execute(&mut *edit).await.unwrap();
        edit.commit().await.unwrap();
    };
    let (summary, ()) = tokio::join!(import(&pool, "name,price\nApple,1\nZebra,1\n", Existing::Refuse), editing);

    assert_eq!((summary.inserted, catalogue(&pool).await.len()), (2, 2));
}
