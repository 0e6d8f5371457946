//! Who keeps copies of products hears that these have changed.
//!
//! A copy that nobody told of is old for as long as its keeper lets it be, so what is told here makes copies fresh
//! sooner and is allowed to get lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use redis::AsyncCommands;

use crate::id::ProductId;
use crate::redis::Redis;

/// The channel on which it is told.
pub const CHANGES: &str = "products";

/// What is called with each change that this process makes itself.
pub type Hear = Arc<dyn Fn(&[ProductId]) + Send + Sync>;

/// Tells all apis which products have changed; cheap to clone.
#[derive(Clone)]
pub struct Changes {
    redis: Redis,
    here: Option<Hear>,
}

impl Changes {
    /// Tells over that Redis.
    pub fn new(redis: Redis) -> Self {
        Self { redis, here: None }
    }

    /// The same in a process that has copies itself: `hear` knows before whoever made the change goes on.
    #[must_use]
    pub fn heard_here(self, hear: Hear) -> Self {
        Self { here: Some(hear), ..self }
    }

    /// Tells, after the commit and without making anybody wait for Redis.
    pub fn tell(&self, products: impl IntoIterator<Item = ProductId>) {
        let products: Vec<ProductId> = products.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        if products.is_empty() {
            return;
        }
        if let Some(hear) = &self.here {
            hear(&products);
        }
        let message = products.iter().map(ProductId::to_string).collect::<Vec<_>>().join(" ");
        let redis = self.redis.clone();
        tokio::spawn(async move {
            let published: redis::RedisResult<()> = redis.connection().publish(redis.key(CHANGES), message).await;
            if let Err(error) = published {
                tracing::debug!(%error, "Redis did not take which products have changed");
            }
        });
    }
}

/// Reads what [`Changes`] publishes. What is no product is passed over.
pub fn told(message: &[u8]) -> impl Iterator<Item = ProductId> + '_ {
    message.split(|byte| *byte == b' ').filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood_and_noise_is_passed_over() {
        let (mug, pan) = (ProductId::new(), ProductId::new());
        let message = format!("{mug} noise {pan}");
        assert_eq!(told(message.as_bytes()).collect::<Vec<_>>(), [mug, pan]);
    }
}
