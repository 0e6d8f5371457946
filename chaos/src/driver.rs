//! The customers: they order, order again with the same key, cancel, and never give up on an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::journal::{Answer, Journal, Sent};
use crate::stage::Stage;

/// How long a customer asks for an answer. Longer than any fault lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// How orders are paid, each as often as it stands here.
const METHODS: [&str; 20] = [
    "pm_sim_success",
    "pm_sim_success",
    "pm_sim_success",
    "pm_sim_success",
    "pm_sim_success",
    "pm_sim_success",
    "test",
    "test",
    "test",
    "pm_sim_decline_card_declined",
    "pm_sim_decline_card_declined",
    "pm_sim_decline_2_then_success",
    "pm_sim_decline_2_then_success",
    "pm_sim_flaky_2",
    "pm_sim_flaky_2",
    "pm_sim_flaky_9",
    "pm_sim_timeout_charged",
    "pm_sim_timeout_not_charged",
    "pm_sim_slow_50",
    "pm_sim_slow_200",
];

/// The load of one round.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where.
    pub stage: Arc<Stage>,
    /// What was said.
    pub journal: Arc<Journal>,
    /// A product of which there are few.
    pub hot: String,
    /// Set when it is time to stop.
    pub stop: Arc<AtomicBool>,
    /// The pause between two orders of a customer.
    pub pause: Duration,
    /// Share of orders that are cancelled at once.
    pub cancels: f64,
}

impl Load {
    /// Orders as one customer until told to stop.
    pub async fn run(self, name: String, seed: u64) {
        // Orders follow the seed. What depends on answers and on time has lots of its own.
        let (mut orders, mut rng) = (StdRng::seed_from_u64(seed), StdRng::seed_from_u64(!seed));
        let mut n = 0;
        while !self.stop.load(Ordering::Relaxed) {
            n += 1;
            let sent = self.next_order(&mut orders, format!("{name}-{n}"));
            self.journal.sending(&sent);
            let answer = if rng.random_bool(0.05) {
                self.place_twice(&mut rng, &sent).await
            } else {
                self.place(&mut rng, &sent).await
            };
            if let Some(order) = answer.and_then(|answer| answer.order())
                && rng.random_bool(self.cancels)
            {
                sleep(Duration::from_millis(rng.random_range(0..40))).await;
                self.cancel(&mut rng, &sent, order).await;
            }
            if rng.random_bool(0.1) {
                self.place(&mut rng, &sent).await;
            }
            sleep(self.pause).await;
        }
    }

    /// Sends one order twice at the same time.
    async fn place_twice(&self, rng: &mut StdRng, sent: &Sent) -> Option<Answer> {
        let mut other = StdRng::seed_from_u64(rng.random());
        let (first, second) = futures::join!(self.place(rng, sent), self.place(&mut other, sent));
        first.or(second)
    }

    /// What a customer orders next.
    pub fn next_order(&self, rng: &mut StdRng, key: String) -> Sent {
        let customer = rng.random_range(0..self.stage.customers.len());
        let mut items = Vec::new();
        if rng.random_bool(0.3) {
            items.push((self.hot.clone(), rng.random_range(1..=3)));
        }
        let lines = rng.random_range(1..=5);
        items.extend(self.stage.products.choose_multiple(rng, lines).map(|id| (id.clone(), rng.random_range(1..=4))));
        // Opposite orders of the same products are what deadlocks are made of.
        items.shuffle(rng);
        let items: Vec<Value> =
            items.into_iter().map(|(id, quantity)| json!({ "productId": id, "quantity": quantity })).collect();
        let method = METHODS.choose(rng).copied().unwrap_or("test");
        Sent { customer, key, body: json!({ "items": items, "paymentMethod": method }) }
    }

    /// Sends an order, at one api or the other, until the answer is conclusive.
    pub async fn place(&self, rng: &mut StdRng, sent: &Sent) -> Option<Answer> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self
                .post(rng, sent.customer, "/orders")
                .header("Idempotency-Key", &sent.key)
                .json(&sent.body)
                .send()
                .await;
            if let Ok(answer) = answer
                && let Some(answer) = self.read(answer, &format!("order {}", sent.key)).await
            {
                match answer.status {
                    201 | 422 => {
                        self.journal.answered(&sent.key, answer.clone());
                        return Some(answer);
                    }
                    409 | 503 => {}
                    status => {
                        let body = String::from_utf8_lossy(&answer.body).into_owned();
                        self.journal.violation(format!("order {} was answered {status} {body}", sent.key));
                        return None;
                    }
                }
            }
            if Instant::now() > deadline {
                self.journal.violation(format!("I3 order {} got no conclusive answer", sent.key));
                return None;
            }
            sleep(Duration::from_millis(rng.random_range(10..80))).await;
        }
    }

    async fn cancel(&self, rng: &mut StdRng, sent: &Sent, order: Uuid) {
        for _ in 0..5 {
            let answer = self.post(rng, sent.customer, &format!("/orders/{order}/cancel")).send().await;
            if let Ok(answer) = answer
                && let Some(answer) = self.read(answer, &format!("cancel {order}")).await
            {
                match answer.status {
                    200 => return self.journal.cancelled(order),
                    409 => return,
                    503 => {}
                    status => {
                        let body = String::from_utf8_lossy(&answer.body).into_owned();
                        return self.journal.violation(format!("cancel {order} was answered {status} {body}"));
                    }
                }
            }
            sleep(Duration::from_millis(rng.random_range(10..80))).await;
        }
    }

    /// The whole of an answer, unless it breaks off.
    async fn read(&self, answer: Response, what: &str) -> Option<Answer> {
        let status = answer.status();
        if status == StatusCode::SERVICE_UNAVAILABLE && !answer.headers().contains_key("Retry-After") {
            self.journal.violation(format!("{what} was answered 503 without Retry-After"));
        }
        let body = answer.bytes().await.ok()?;
        Some(Answer { status: status.as_u16(), body: body.to_vec() })
    }

    fn post(&self, rng: &mut StdRng, customer: usize, path: &str) -> reqwest::RequestBuilder {
        let api = &self.stage.apis[rng.random_range(0..self.stage.apis.len())];
        self.stage.http.post(format!("{}{path}", api.url)).bearer_auth(&self.stage.customers[customer].token)
    }
}
