//! The shop as a replay sees it: each method is one thing that a customer or an admin does over HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, RequestBuilder, StatusCode};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::wire::{Answer, Failure, Wire};

/// How long one try may take before the connection counts as broken.
const ONE_TRY: Duration = Duration::from_secs(30);
/// The most orders the shop lists on one page.
const PAGE: usize = 100;

pub(crate) struct Shop {
    http: Client,
    base: String,
    wire: Wire,
}

/// Somebody who can log in. The token is renewed when the shop takes it no longer.
pub(crate) struct Account {
    email: String,
    password: String,
    token: Mutex<String>,
}

/// What `POST /orders` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewOrder {
    pub(crate) items: Vec<NewItem>,
    pub(crate) payment_method: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewItem {
    pub(crate) product_id: String,
    pub(crate) quantity: u32,
}

/// What `POST /orders` answers.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) total: Decimal,
}

/// One page of a customer's orders.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page {
    pub(crate) items: Vec<Listed>,
    pub(crate) has_next_page: bool,
}

#[derive(Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) status: String,
}

impl Shop {
    pub(crate) fn at(base: &str) -> anyhow::Result<Self> {
        let http = Client::builder().timeout(ONE_TRY).no_proxy().build().context("setting up HTTP")?;
        Ok(Self { http, base: base.to_owned(), wire: Wire::default() })
    }

    /// How many requests were sent again, by cause.
    pub(crate) fn resent(&self) -> BTreeMap<String, usize> {
        self.wire.resent()
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Result<Account, Failure> {
        let token = self.token("/login", json!({ "email": email, "password": password })).await?;
        Ok(Account { email: email.to_owned(), password: password.to_owned(), token: Mutex::new(token) })
    }

    /// Registers a customer. One that is there already was registered by a try whose answer got lost, and logs in.
    pub(crate) async fn register(&self, email: &str, password: &str, name: &str) -> Result<Account, Failure> {
        match self.token("/register", json!({ "email": email, "password": password, "name": name })).await {
            Ok(token) => {
                Ok(Account { email: email.to_owned(), password: password.to_owned(), token: Mutex::new(token) })
            }
            Err(failure) if failure.reason.starts_with("409") => self.login(email, password).await,
            Err(failure) => Err(failure),
        }
    }

    /// Creates a product and answers its id. Should an answer get lost, a twin without orders stays behind.
    pub(crate) async fn create_product(
        &self,
        admin: &Account,
        name: &str,
        price: Decimal,
        stock: u64,
    ) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Created {
            id: String,
        }
        // A Decimal's own digits, so that no float comes between.
        let price = RawValue::from_string(price.to_string()).map_err(|error| unreadable(&error))?;
        #[derive(Serialize)]
        struct New<'a> {
            name: &'a str,
            description: &'a str,
            price: &'a RawValue,
            stock: u64,
        }
        let product = New { name, description: name, price: &price, stock };
        let answer = self.authorised(admin, self.http.post(self.url("/products")).json(&product)).await?;
        parse::<Created>(answer).map(|created| created.id)
    }

    pub(crate) async fn stock(&self, product: &str) -> Result<i64, Failure> {
        #[derive(Deserialize)]
        struct Product {
            stock: i64,
        }
        let answer = self.wire.send(self.http.get(self.url("/products/") + product)).await?;
        parse::<Product>(answer).map(|product| product.stock)
    }

    /// Places an order under a key: sent again, it is still one order.
    pub(crate) async fn place(&self, customer: &Account, key: &str, order: &NewOrder) -> Result<Order, Failure> {
        #[derive(Deserialize)]
        struct Placed {
            id: String,
            total: Box<RawValue>,
        }
        let request = self.http.post(self.url("/orders")).header("Idempotency-Key", key).json(order);
        let placed: Placed = parse(self.authorised(customer, request).await?)?;
        let total = Decimal::from_str_exact(placed.total.get()).map_err(|error| unreadable(&error))?;
        Ok(Order { id: placed.id, total })
    }

    /// A page of a customer's own orders, counted from zero.
    pub(crate) async fn orders(&self, customer: &Account, page: usize) -> Result<Page, Failure> {
        let url = self.url(&format!("/orders?skip={}&take={PAGE}", page * PAGE));
        parse(self.authorised(customer, self.http.get(url)).await?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn token(&self, path: &str, who: serde_json::Value) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct LoggedIn {
            access_token: String,
        }
        let answer = self.wire.send(self.http.post(self.url(path)).json(&who)).await?;
        parse::<LoggedIn>(answer).map(|logged_in| logged_in.access_token)
    }

    /// Sends a request as somebody, who logs in again, once, if the token is refused.
    async fn authorised(&self, who: &Account, request: RequestBuilder) -> Result<Answer, Failure> {
        let token = who.token.lock().await.clone();
        let again = request.try_clone();
        let answer = self.wire.send(request.bearer_auth(&token)).await?;
        match again {
            Some(again) if answer.status == StatusCode::UNAUTHORIZED => {
                let token = self.renewed(who, &token).await?;
                self.wire.send(again.bearer_auth(token)).await
            }
            _ => Ok(answer),
        }
    }

    /// A token newer than the refused one. Of several who ask at the same time only the first logs in.
    async fn renewed(&self, who: &Account, refused: &str) -> Result<String, Failure> {
        let mut token = who.token.lock().await;
        if *token == refused {
            *token = self.token("/login", json!({ "email": who.email, "password": who.password })).await?;
        }
        Ok(token.clone())
    }
}

fn parse<T: DeserializeOwned>(answer: Answer) -> Result<T, Failure> {
    if answer.status.is_success() {
        serde_json::from_slice(&answer.body).map_err(|error| unreadable(&error))
    } else {
        Err(answer.into_failure())
    }
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure { reason: "answer cannot be read".to_owned(), detail: error.to_string() }
}

#[cfg(test)]
mod tests;
