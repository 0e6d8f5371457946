//! `shopctl products create`, `update` and `delete`: what admins do over the api, for operators.

use serde::Serialize;
use shop_common::db::Ending;
use shop_common::id::ProductId;
use shop_common::products::queries::{self, CreateError, EditError};
use shop_common::products::stock::{self, Held};
use shop_common::products::{Expected, NewProduct, Product, ProductChanges, Revision, Versioned};
use utoipa::ToSchema;

use super::{find, not_found, print_one};
use crate::args::products::edit::{ChangesArgs, ProductsCreateArgs, ProductsDeleteArgs, ProductsUpdateArgs};
use crate::exit::{Exit, Failure};
use crate::shop::{Shop, database};
use crate::{ask, output};

/// Adds a product to the catalogue.
pub(crate) async fn create(args: &ProductsCreateArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let product = NewProduct {
        sku: args.sku.clone(),
        name: args.name.clone(),
        description: args.description.clone().unwrap_or_default(),
        price: args.price,
        stock: args.stock,
    };
    let created = queries::create(&shop.pool, &product, None).await.map_err(|error| match error {
        CreateError::SkuTaken => sku_taken(),
        CreateError::Database(error) => database(error),
    })?;
    print_one(args.shop.output, created)
}

/// Edits a product in the state that it is meant for, or as it was when its operator was asked.
pub(crate) async fn update(args: &ProductsUpdateArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let seen = find(&shop, args.product).await?;
    let revision = seen.revision();
    let deed = format!("This changes {}: {}.", seen.product.name.as_str(), in_short(&args.changes, &seen.product));
    let expected = match args.expected {
        Some(expected) if expected != revision => return Err(changed(revision)),
        Some(expected) if !args.consent.dry_run => Expected::OneOf(vec![expected]),
        _ => match ask::consent(&shop.pool, &args.consent, &deed).await? {
            Ending::DryRun => return print_one(args.shop.output, seen),
            Ending::Commit if args.consent.is_given() => Expected::Any,
            // Whoever has answered has seen this state of it.
            Ending::Commit => Expected::OneOf(vec![revision]),
        },
    };
    let ChangesArgs { name, sku, no_sku, description, price, stock } = args.changes.clone();
    let sku = if no_sku { Some(None) } else { sku.map(Some) };
    let changes = ProductChanges { sku, name, description, price, stock };
    let updated = queries::update(&shop.pool, args.product, &expected, &changes, None).await.map_err(failure)?;
    print_one(args.shop.output, updated)
}

/// What is going to change, from what to what.
fn in_short(changes: &ChangesArgs, product: &Product) -> String {
    let ChangesArgs { name, sku, no_sku, description, price, stock } = changes;
    let text = |what: &str, new: Option<&str>| new.map(|new| format!("{what} to {new:?}"));
    let number = |what: &str, old: String, new: Option<String>| new.map(|new| format!("{what} {old} to {new}"));
    let changes = [
        text("name", name.as_ref().map(|name| name.as_str())),
        text("sku", sku.as_ref().map(|sku| sku.as_str())),
        no_sku.then(|| "sku to none".to_owned()),
        text("description", description.as_ref().map(|text| text.as_str())),
        number("price", product.price.to_string(), price.map(|price| price.money().to_string())),
        number("stock", product.stock.to_string(), stock.map(|stock| stock.pieces().to_string())),
    ];
    changes.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A product that was taken out of the catalogue, and what still holds it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletedProduct {
    product_id: ProductId,
    name: String,
    /// What was left of it.
    stock: i64,
    /// What open orders hold; they go on.
    held: Held,
    dry_run: bool,
}

/// Takes a product out of the catalogue.
pub(crate) async fn delete(args: &ProductsDeleteArgs) -> Result<(), Failure> {
    let shop = Shop::find(&args.shop.home.dir)?;
    let seen = find(&shop, args.product).await?;
    let expected = match args.expected {
        Some(expected) if expected != seen.revision() => return Err(changed(seen.revision())),
        Some(expected) => Expected::OneOf(vec![expected]),
        None => Expected::Any,
    };
    let Versioned { product, .. } = seen;
    let held = stock::held(&shop.pool, args.product).await.map_err(database)?;
    let Held { orders, pieces } = held;
    let (name, left) = (product.name.as_str().to_owned(), product.stock);
    let deed = format!(
        "This takes {name} out of the catalogue, with {left} in stock; {orders} open orders with {pieces} of it go on."
    );
    let ending = ask::consent(&shop.pool, &args.consent, &deed).await?;
    if ending == Ending::Commit {
        queries::delete(&shop.pool, args.product, &expected).await.map_err(failure)?;
    }
    let dry_run = ending == Ending::DryRun;
    let deleted = DeletedProduct { product_id: args.product, name, stock: left, held, dry_run };
    output::one(args.shop.output, &deleted, |DeletedProduct { product_id, name, stock, held, .. }| {
        output::table(
            ["PRODUCT", "NAME", "STOCK", "OPEN ORDERS"],
            vec![[product_id.to_string(), name.clone(), stock.to_string(), held.orders.to_string()]],
        )
    })?;
    Ok(())
}

fn changed(revision: Revision) -> Failure {
    Failure::new(Exit::Conflict, format!("{}; nothing was done", EditError::Changed(revision)))
        .next("look at it with `shopctl products show`, and give the command again with that revision")
}

fn sku_taken() -> Failure {
    Failure::new(Exit::Conflict, "another product has this sku; nothing was done")
        .next("find it with `shopctl products list --sku SKU`, or take another one")
}

fn failure(error: EditError) -> Failure {
    match error {
        EditError::UnknownProduct(product) => not_found(product),
        EditError::Changed(revision) => changed(revision),
        EditError::SkuTaken => sku_taken(),
        EditError::Database(error) => database(error),
    }
}
