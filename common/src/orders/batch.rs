//! The batch: what a group of orders comes to, and the one statement that writes it.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};

use super::decision::{Decision, Made, NewOrder, Placed, Render, Verdict};
use super::idempotency::{Answer, Fingerprint, IdempotencyKey, KEPT_HOURS, KeyState, ROUTE};
use super::shelf::Shelf;
use super::status::OrderStatus;
use super::{Order, OrderItem};
use crate::chaos::{self, Bug};
use crate::db::{TransactionId, Witness};
use crate::events::{EventKind, NewEvent};
use crate::id::{JobId, OrderId, OrderItemId, PaymentId, ProductId, UserId};
use crate::jobs::ChargePayment;
use crate::money::Currency;
use crate::trace;

/// What holds for every order of a shop.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) currency: Currency,
    pub(super) render: Render,
}

/// An answer, and the key under which it is kept.
type Kept = (UserId, IdempotencyKey, Fingerprint, Answer);

/// What a group of orders writes.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) verdicts: Vec<Verdict>,
    placed: Vec<(Order, UserId, Option<String>)>,
    traces: Vec<trace::Kept>,
    payments: Vec<PaymentId>,
    pub(super) jobs: Vec<JobId>,
    pub(super) events: Vec<NewEvent>,
    kept: Vec<Kept>,
    by_key: HashMap<(UserId, IdempotencyKey), usize>,
    /// The reasons of the orders that are refused.
    refused: Vec<&'static str>,
}

impl Batch {
    pub(super) fn add(&mut self, order: &NewOrder, key: Option<KeyState>, shelf: &mut Shelf, terms: &Terms) {
        let own_key = order.key.clone().map(|key| (order.customer, key));
        let verdict = match (key, own_key.as_ref().and_then(|key| self.by_key.get(key))) {
            (Some(KeyState::Answered { same_request: true, answer }), _) => {
                Verdict::Answered(Placed { answer, made: None, replayed: true })
            }
            (Some(KeyState::Answered { same_request: false, .. }), _) => Verdict::KeyReused,
            (Some(KeyState::InFlight), _) => Verdict::KeyInFlight,
            (_, Some(first)) => self.replay_within(*first, order.fingerprint()),
            (_, None) => {
                let (decision, made) = self.decide(order, shelf, terms);
                let answer = (terms.render)(&decision);
                if let Some((customer, key)) = own_key {
                    self.by_key.insert((customer, key.clone()), self.kept.len());
                    self.kept.push((customer, key, order.fingerprint(), answer.clone()));
                }
                Verdict::Answered(Placed { answer, made, replayed: false })
            }
        };
        self.verdicts.push(verdict);
    }

    /// Two requests with one key in one group: the first decided, the second replays.
    fn replay_within(&self, first: usize, fingerprint: Fingerprint) -> Verdict {
        match self.kept.get(first) {
            Some((_, _, known, answer)) if *known == fingerprint => {
                Verdict::Answered(Placed { answer: answer.clone(), made: None, replayed: true })
            }
            _ => Verdict::KeyReused,
        }
    }

    fn decide(&mut self, new: &NewOrder, shelf: &mut Shelf, terms: &Terms) -> (Decision, Option<Made>) {
        let (total, cart) = match shelf.take(&new.lines) {
            Ok(taken) => taken,
            Err(refusal) => {
                self.refused.push(refusal.name());
                return (Decision::Refused(refusal), None);
            }
        };
        let order = Order {
            id: OrderId::new(),
            status: OrderStatus::Pending,
            total,
            currency: terms.currency.clone(),
            payment_method: new.payment_method.clone(),
            created_at: shelf.now,
            updated_at: shelf.now,
            order_items: cart
                .into_iter()
                .map(|(product, quantity)| OrderItem {
                    id: OrderItemId::new(),
                    quantity,
                    price: product.price,
                    product,
                })
                .collect(),
            refund: None,
        };
        let made = Made { order: order.id, payment: PaymentId::new(), job: JobId::new() };
        self.payments.push(made.payment);
        self.jobs.push(made.job);
        self.traces.push(new.trace.as_ref().into());
        self.events.push(NewEvent {
            user_id: new.customer,
            order_id: order.id,
            kind: EventKind::OrderStatus,
            data: serde_json::json!({ "status": order.status }),
        });
        self.placed.push((order.clone(), new.customer, new.request_id.clone()));
        (Decision::Placed(order), Some(made))
    }

    /// What is kept in the transaction of the orders: all of it.
    fn kept_with_orders(&self) -> &[Kept] {
        if chaos::planted(Bug::KeyOutsideTransaction) && !self.placed.is_empty() { &[] } else { &self.kept }
    }

    /// The keys without the orders, for a planted bug.
    pub(super) fn keys_alone(&self) -> Self {
        Self { kept: self.kept.clone(), ..Self::default() }
    }

    /// Everything in one statement, because a round trip costs more than a row.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        shelf: &Shelf,
    ) -> Result<TransactionId, sqlx::Error> {
        let orders: Vec<&Order> = self.placed.iter().map(|(order, _, _)| order).collect();
        let items: Vec<(&Order, i16, &OrderItem)> = orders
            .iter()
            .flat_map(|order| (0_i16..).zip(&order.order_items).map(|(line, item)| (*order, line, item)))
            .collect();
        let payloads: Vec<_> =
            self.payments.iter().map(|payment_id| ChargePayment { payment_id: *payment_id }.payload()).collect();
        let kept = self.kept_with_orders();
        sqlx::query_scalar(
            "WITH stock AS (
                 UPDATE products p SET stock = p.stock - t.quantity
                 FROM unnest($1::uuid[], $2::bigint[]) AS t (id, quantity) WHERE p.id = t.id
             ), new_orders AS (
                 INSERT INTO orders (id, user_id, total_minor, currency, payment_method)
                 SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::bigint[], $6::text[], $7::text[])
             ), new_items AS (
                 INSERT INTO order_items (order_id, line, id, product_id, quantity, price_minor)
                 SELECT * FROM unnest($8::uuid[], $9::smallint[], $10::uuid[], $11::uuid[], $12::bigint[], $13::bigint[])
             ), new_payments AS (
                 INSERT INTO payments (id, order_id, amount_minor, currency, method)
                 SELECT * FROM unnest($14::uuid[], $3::uuid[], $5::bigint[], $6::text[], $7::text[])
             ), new_jobs AS (
                 INSERT INTO jobs (id, kind, version, payload, order_id, request_id, traceparent, tracestate)
                 SELECT id, $15, $16, payload, order_id, request_id, traceparent, tracestate
                 FROM unnest($17::uuid[], $18::jsonb[], $3::uuid[], $19::text[], $27::text[], $28::text[])
                      AS t (id, payload, order_id, request_id, traceparent, tracestate)
             ), new_keys AS (
                 INSERT INTO idempotency_keys AS k (user_id, route, key, fingerprint, status, body)
                 SELECT user_id, $20, key, fingerprint, status, body
                 FROM unnest($21::uuid[], $22::text[], $23::bytea[], $24::smallint[], $25::bytea[])
                      AS t (user_id, key, fingerprint, status, body)
                 ON CONFLICT (user_id, route, key) DO UPDATE
                 SET fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, created_at = now()
                 WHERE k.created_at <= now() - make_interval(hours => $26)
             )
             SELECT pg_current_xact_id()::text::bigint",
        )
        .bind(shelf.taken.keys().copied().collect::<Vec<_>>())
        .bind(shelf.taken.values().copied().collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.id).collect::<Vec<_>>())
        .bind(self.placed.iter().map(|(_, customer, _)| *customer).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.total).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.currency.code()).collect::<Vec<_>>())
        .bind(orders.iter().map(|order| order.payment_method.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|(order, _, _)| order.id).collect::<Vec<_>>())
        .bind(items.iter().map(|(_, line, _)| *line).collect::<Vec<_>>())
        .bind(items.iter().map(|(_, _, item)| item.id).collect::<Vec<_>>())
        .bind(items.iter().map(|(_, _, item)| item.product.id).collect::<Vec<_>>())
        .bind(items.iter().map(|(_, _, item)| item.quantity).collect::<Vec<_>>())
        .bind(items.iter().map(|(_, _, item)| item.price).collect::<Vec<_>>())
        .bind(&self.payments)
        .bind(ChargePayment::KIND)
        .bind(ChargePayment::VERSION)
        .bind(&self.jobs)
        .bind(payloads)
        .bind(self.placed.iter().map(|(_, _, request_id)| request_id.as_deref()).collect::<Vec<_>>())
        .bind(ROUTE)
        .bind(kept.iter().map(|(customer, _, _, _)| *customer).collect::<Vec<_>>())
        .bind(kept.iter().map(|(_, key, _, _)| key.as_str()).collect::<Vec<_>>())
        .bind(kept.iter().map(|(_, _, fingerprint, _)| fingerprint.bytes()).collect::<Vec<_>>())
        .bind(kept.iter().map(|(_, _, _, answer)| answer.status).collect::<Vec<_>>())
        .bind(kept.iter().map(|(_, _, _, answer)| &*answer.body).collect::<Vec<_>>())
        .bind(KEPT_HOURS)
        .bind(self.traces.iter().map(|trace| trace.traceparent.as_deref()).collect::<Vec<_>>())
        .bind(self.traces.iter().map(|trace| trace.tracestate.as_deref()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
    }

    /// What was ordered.
    pub(super) fn products(&self) -> impl Iterator<Item = ProductId> + '_ {
        self.placed.iter().flat_map(|(order, _, _)| order.order_items.iter().map(|item| item.product.id))
    }

    /// Counts what was decided, once it is committed.
    pub(super) fn count(&self) {
        metrics::counter!("shop_orders_placed_total").increment(self.placed.len() as u64);
        for reason in &self.refused {
            metrics::counter!("shop_orders_refused_total", "reason" => *reason).increment(1);
        }
        let replayed = |verdict: &&Verdict| matches!(verdict, Verdict::Answered(Placed { replayed: true, .. }));
        let replays = self.verdicts.iter().filter(replayed).count();
        metrics::counter!("shop_idempotent_replays_total").increment(replays as u64);
    }
}

/// One row of a batch is enough, they come together.
impl Witness for Batch {
    async fn is_written(&self, pool: &PgPool) -> Result<bool, sqlx::Error> {
        if let Some((order, _, _)) = self.placed.first() {
            return sqlx::query_scalar("SELECT EXISTS (SELECT FROM orders WHERE id = $1)")
                .bind(order.id)
                .fetch_one(pool)
                .await;
        }
        let Some((customer, key, fingerprint, answer)) = self.kept.first() else { return Ok(true) };
        sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM idempotency_keys
                            WHERE user_id = $1 AND route = $2 AND key = $3 AND fingerprint = $4 AND body = $5)",
        )
        .bind(customer)
        .bind(ROUTE)
        .bind(key)
        .bind(fingerprint.bytes())
        .bind(&*answer.body)
        .fetch_one(pool)
        .await
    }
}

#[cfg(test)]
mod tests;
