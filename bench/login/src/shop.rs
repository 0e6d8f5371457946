//! The shop as its clients see it.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use reqwest::{Client, StatusCode};
use serde_json::json;
use uuid::Uuid;

/// A running shop.
#[derive(Clone)]
pub(crate) struct Shop {
    http: Client,
    url: String,
}

impl Shop {
    pub(crate) fn new(url: String) -> anyhow::Result<Self> {
        Ok(Self { http: Client::builder().no_proxy().build()?, url })
    }

    /// Makes an account, and gives its email.
    pub(crate) async fn register(&self) -> anyhow::Result<String> {
        let email = format!("{}@login.example", Uuid::now_v7());
        let account = json!({ "email": email, "password": "Corr3ct-horse" });
        let answer = self.http.post(format!("{}/register", self.url)).json(&account).send().await?;
        ensure!(answer.status() == StatusCode::CREATED, "registering: {}", answer.text().await?);
        Ok(email)
    }

    /// Tries a wrong password, and gives the status of the answer.
    pub(crate) async fn guess(&self, email: &str) -> anyhow::Result<StatusCode> {
        let guess = json!({ "email": email, "password": "Wr0ng-horse" });
        let answer = self.http.post(format!("{}/login", self.url)).json(&guess).send().await?;
        let status = answer.status();
        answer.bytes().await.context("reading the answer")?;
        Ok(status)
    }

    /// How long it takes until a login has failed.
    pub(crate) async fn fail(&self, email: &str) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let status = self.guess(email).await?;
        let took = begun.elapsed();
        ensure!(status == StatusCode::UNAUTHORIZED, "a wrong password is answered {status}; are the rate limits off?");
        Ok(took)
    }

    /// How long it takes until the first page of products is there.
    pub(crate) async fn products(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let answer = self.http.get(format!("{}/products?take=20", self.url)).send().await?;
        let status = answer.status();
        answer.bytes().await.context("reading the answer")?;
        ensure!(status == StatusCode::OK, "products are answered {status}");
        Ok(begun.elapsed())
    }
}
