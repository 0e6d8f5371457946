//! `shop-worker` with the feature `otel`, for the tests of what it exports.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    shop_worker::start().await
}
