//! Runs a replay from the first product to the last check.

use std::sync::Arc;

use anyhow::Context;

use crate::args::Args;
use crate::outcome::Outcome;
use crate::place::{Pace, Sales};
use crate::plan::Plan;
use crate::shop::Shop;
use crate::{place, settle, setup, stock, verify};

pub(crate) async fn replay(args: &Args, plan: &Plan) -> anyhow::Result<Outcome> {
    let shop = Arc::new(Shop::at(args.base_url.as_deref().context("no --base-url given")?)?);
    let run_id = setup::run_id();
    let clients = args.clients.get();

    let admin = shop.login(&args.admin_email, &args.admin_password).await;
    let admin = admin.with_context(|| format!("logging in as {}", args.admin_email))?;
    let goods = setup::products(&shop, &admin, plan, clients).await?;
    let accounts: Vec<_> = setup::customers(&shop, plan, &run_id).await?.into_iter().map(Arc::new).collect();

    let sales = Sales {
        plan,
        run_id: &run_id,
        goods: &goods,
        accounts: &accounts,
        payment_method: args.payment_method.as_deref(),
    };
    let placed = place::all(&shop, &sales, clients, Pace::new(args.speed, plan)).await?;
    let settled = settle::wait(&shop, &accounts, placed.orders_by_customer(plan), args.settle_timeout()).await;
    let stock = stock::check(&shop, plan, &goods, &placed, &settled).await;
    let verified = verify::run(args.shopctl.clone(), args.database_url.as_deref()).await;
    Ok(Outcome { run_id, placed, settled, stock, verified, resent: shop.resent() })
}
