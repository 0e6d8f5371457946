//! What the api is asked while its memory is looked at.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use serde_json::json;
use shop_bench_kit::exchange::Request;
use shop_bench_kit::load::{self, Loaded};
use shop_bench_kit::shop::{HIGH, Shop};
use shop_common::id::{ProductId, UserId};
use shop_common::users::password::{StrongPassword, hash};

/// Connections of those who read, and of those who log in.
const READERS: usize = 32;
const LOGINS: usize = 32;
/// The password of all customers.
const PASSWORD: &str = "Corr3ct-horse";
/// Nobody runs out.
const STOCK: i64 = 1_000_000_000;
/// Orders of before. Of empty tables PostgreSQL would keep other plans.
const SOLD: usize = 20_000;
const PRODUCTS: usize = 1000;
const CUSTOMERS: usize = 256;

/// A load on the api.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Pages of the catalogue and products.
    Reads,
    /// Orders with one line.
    Orders {
        /// Connections.
        clients: usize,
    },
    /// Right passwords.
    Logins,
}

impl Load {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reads => "memory, reads, 32 connections",
            Self::Orders { clients: 32 } => "memory, orders, 32 clients",
            Self::Orders { .. } => "memory, orders, 256 clients",
            Self::Logins => "memory, logins, 32 clients",
        }
    }

    /// The api's limits: nobody is refused.
    pub(crate) fn limits(self) -> String {
        match self {
            Self::Logins => format!("{{login={HIGH},login_account={HIGH},login_strangers={HIGH}}}"),
            Self::Reads | Self::Orders { .. } => format!("{{reads={HIGH},writes={HIGH}}}"),
        }
    }
}

/// Those who ask, and what for.
pub(crate) struct Crowd {
    customers: Arc<[UserId]>,
    tokens: Arc<[String]>,
    products: Arc<[ProductId]>,
}

impl Crowd {
    /// Fills the shop with them.
    pub(crate) async fn gather(shop: &Shop) -> anyhow::Result<Self> {
        let customers = shop.customers(CUSTOMERS).await?;
        let products = shop.products(PRODUCTS, STOCK).await?;
        let password: StrongPassword = SecretString::from(PASSWORD).try_into()?;
        sqlx::query("UPDATE users SET password_hash = $1").bind(hash(&password)?).execute(&shop.pool).await?;
        shop.sold(SOLD, &customers, &products).await?;
        let signer = shop.signer().await?;
        let tokens = customers.iter().map(|customer| signer.token(*customer)).collect::<anyhow::Result<_>>()?;
        Ok(Self { customers: customers.into(), tokens, products: products.into() })
    }

    /// Asks an api for so long.
    pub(crate) async fn ask(&self, port: u16, load: Load, time: Duration) -> anyhow::Result<Loaded> {
        let (customers, tokens, products) =
            (Arc::clone(&self.customers), Arc::clone(&self.tokens), Arc::clone(&self.products));
        match load {
            Load::Reads => {
                let next = move |connection, sent: usize| match sent % 4 {
                    0 => Request::get("/products?take=20", None),
                    1 => Request::get("/products?take=100&orderBy=price", None),
                    _ => Request::get(&format!("/products/{}", nth(&products, connection + sent)), None),
                };
                load::run(port, READERS, time, &["200"], next).await
            }
            Load::Orders { clients } => {
                let next = move |connection, sent| {
                    let items = [json!({ "productId": nth(&products, connection * 31 + sent), "quantity": 1 })];
                    let order = json!({ "items": items, "paymentMethod": "pm_sim_success" }).to_string();
                    let token = nth(&tokens, connection);
                    Request::post("/orders", &format!("Authorization: Bearer {token}\r\n"), &order)
                };
                load::run(port, clients, time, &["201"], next).await
            }
            Load::Logins => {
                let next = move |connection, sent| {
                    let email = format!("{}@bench.example", nth(&customers, connection * 31 + sent));
                    Request::post("/login", "", &json!({ "email": email, "password": PASSWORD }).to_string())
                };
                load::run(port, LOGINS, time, &["200"], next).await
            }
        }
        .context("asking the api")
    }
}

/// Around and around.
fn nth<T>(all: &[T], at: usize) -> &T {
    &all[at % all.len()]
}
