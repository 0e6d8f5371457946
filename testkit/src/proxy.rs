//! A pool whose connections lose what a test wants lost.

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::link::Link;

/// What happens to the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The connection breaks before the server has heard it.
    IsLost,
    /// The server commits, and the connection breaks before its answer is there.
    LosesItsAnswer,
}

/// A proxy; it ends with the test's runtime.
pub struct Proxy {
    link: Link,
    /// A pool whose connections go through the proxy.
    pub pool: PgPool,
}

impl Proxy {
    /// A proxy before the server of that pool.
    pub async fn before(pool: &PgPool) -> Self {
        let options = (*pool.connect_options()).clone();
        let server = format!("{}:{}", options.get_host(), options.get_port());
        let server = tokio::net::lookup_host(server).await.unwrap().next().unwrap();
        let link = Link::to(server).await.unwrap();
        let pool = PgPoolOptions::new().connect_with(options.host("127.0.0.1").port(link.port)).await.unwrap();
        Self { link, pool }
    }

    /// Decides what happens to the next COMMIT, and to that one only.
    pub fn next_commit(&self, fate: Commit) {
        match fate {
            Commit::IsLost => self.link.lose_commits(1),
            Commit::LosesItsAnswer => {
                self.link.lose_answers_to_commits(1);
            }
        }
    }
}
