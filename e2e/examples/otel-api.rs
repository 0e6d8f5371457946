//! `shop-api` with the feature `otel`, for the tests of what it exports.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    shop_api::start().await
}
