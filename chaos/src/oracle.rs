//! The judge: holds the books, the gateway's ledger and what the customers were told against each other, from outside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::faults::{Fault, Tally};
use crate::journal::{Journal, Sent};
use crate::stage::Stage;

/// How long the last order may take to end once the faults have stopped.
const DRAIN: Duration = Duration::from_secs(30);
/// Files that a program may have open, and memory that it may hold.
const OPEN_FILES: usize = 300;
const MEMORY_MIB: u64 = 400;
/// Charges that the gateway lists at once.
const PAGE: usize = 1000;

/// What is judged: everything that came after `since`, and the whole of what is cheap to look at.
pub struct Case<'a> {
    /// The shop.
    pub stage: &'a Stage,
    /// What its customers were told.
    pub journal: &'a Journal,
    /// Ids of before are older.
    pub since: Uuid,
    /// What was done to it.
    pub faults: &'a [Fault],
    /// Where numbers go.
    pub tally: &'a Tally,
}

#[derive(Deserialize)]
struct Charges {
    charges: Vec<Charge>,
}

/// A charge that the gateway has captured.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    key: String,
    payment: String,
    amount_minor: i64,
    state: String,
}

impl Charge {
    /// Whether the money went back.
    pub fn is_refunded(&self) -> bool {
        self.state == "refunded"
    }
}

/// All charges that the gateway has captured for payments younger than that, as its own ledger has them.
///
/// # Errors
/// When the gateway does not answer.
pub async fn charges(stage: &Stage, since: Uuid) -> anyhow::Result<Vec<Charge>> {
    let (mut all, mut after) = (Vec::new(), since.to_string());
    loop {
        let url = format!("{}/charges?after={after}&limit={PAGE}", stage.gateway_url);
        let page: Charges = stage.http.get(url).send().await?.error_for_status()?.json().await?;
        let Some(last) = page.charges.last() else { return Ok(all) };
        after.clone_from(&last.key);
        all.extend(page.charges);
    }
}

/// What is wrong between charges and the orders whose payments are younger than that: each completed order has
/// one charge, of its total, and no other has any, but a refunded one those that went back.
///
/// # Errors
/// When the books cannot be read.
pub async fn unbalanced(stage: &Stage, since: Uuid, charges: Vec<Charge>) -> anyhow::Result<Vec<String>> {
    let mut captured: HashMap<String, Vec<Charge>> = HashMap::new();
    for charge in charges {
        captured.entry(charge.payment.clone()).or_default().push(charge);
    }
    let payments: Vec<(Uuid, String, i64)> = sqlx::query_as(
        "SELECT p.id, o.status, o.total_minor FROM payments p JOIN orders o ON o.id = p.order_id WHERE p.id > $1",
    )
    .bind(since)
    .fetch_all(&stage.pool)
    .await?;
    let mut wrong = Vec::new();
    for (payment, status, total) in payments {
        let charges = captured.remove(&payment.to_string()).unwrap_or_default();
        let amounts: Vec<i64> = charges.iter().map(|charge| charge.amount_minor).collect();
        let right = match status.as_str() {
            "COMPLETED" => amounts == [total],
            "REFUNDED" => amounts.contains(&total) && charges.iter().all(Charge::is_refunded),
            "FAILED" | "CANCELLED" => amounts.is_empty(),
            _ => amounts.len() <= 1,
        };
        if !right {
            wrong.push(format!(
                "I2 payment {payment} is of an order that is {status}, of {total}, and charged {amounts:?}"
            ));
        }
    }
    if let Some(payment) = captured.keys().next() {
        wrong.push(format!(
            "I2 {} payments were charged that the shop does not know, for example {payment}",
            captured.len()
        ));
    }
    Ok(wrong)
}

/// How many of which product an order asks for.
fn lines_of(body: &Value) -> BTreeMap<Uuid, i64> {
    let mut lines = BTreeMap::new();
    for item in body["items"].as_array().into_iter().flatten() {
        if let (Some(product), Some(quantity)) =
            (item["productId"].as_str().and_then(|id| id.parse().ok()), item["quantity"].as_i64())
        {
            *lines.entry(product).or_default() += quantity;
        }
    }
    lines
}

/// Waits until every order has ended; says how long that took, or what is left (I3).
///
/// # Errors
/// When the books cannot be read.
pub async fn drained(stage: &Stage) -> anyhow::Result<Result<Duration, String>> {
    let begun = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE status IN ('PENDING', 'PROCESSING')")
            .fetch_one(&stage.pool)
            .await?;
        if open == 0 {
            return Ok(Ok(begun.elapsed()));
        }
        if begun.elapsed() > DRAIN {
            let states: Vec<String> = sqlx::query_scalar(
                "SELECT DISTINCT format('order %s, job %s, last error %s', o.status, coalesce(j.state, 'none'), coalesce(j.last_error, '-'))
                 FROM orders o LEFT JOIN jobs j ON j.order_id = o.id WHERE o.status IN ('PENDING', 'PROCESSING') LIMIT 5",
            )
            .fetch_all(&stage.pool)
            .await?;
            return Ok(Err(format!(
                "I3 {open} orders have not ended {DRAIN:?} after the faults: {}",
                states.join("; ")
            )));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Case<'_> {
    /// Everything that must not be.
    ///
    /// # Errors
    /// When the rig itself fails.
    pub async fn judge(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong = self.journal.violations();
        wrong.extend(self.verified().await?);
        wrong.extend(self.one_charge_each().await?);
        wrong.extend(self.one_order_per_key().await?);
        wrong.extend(self.what_was_promised_is_there().await?);
        wrong.extend(self.booked_as_sent().await?);
        wrong.extend(self.jobs_tell_the_truth().await?);
        wrong.extend(self.events_are_whole().await?);
        wrong.extend(self.nothing_leaks().await?);
        wrong.extend(self.something_happened());
        Ok(wrong)
    }

    /// A round in which nothing was ordered or nothing went wrong has tested nothing.
    fn something_happened(&self) -> Vec<String> {
        let counts = self.tally.counts();
        let none = |what: &&str| counts.get(*what).is_none_or(|times| *times == 0);
        let nothing = ["orders", "charges"].into_iter().filter(none).map(|what| format!("there were no {what}"));
        let idle = self.faults.iter().filter(|fault| fault.evidence().iter().all(&none));
        nothing.chain(idle.map(|fault| format!("{fault} did not happen"))).collect()
    }

    /// I1, I4: what `shopctl verify` says.
    async fn verified(&self) -> anyhow::Result<Vec<String>> {
        let output = self.stage.shopctl(&["verify", "-o", "json"]).output().await?;
        if output.status.success() {
            return Ok(Vec::new());
        }
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let broken = |finding: &Value| {
            let rows = finding["violations"].as_array().filter(|rows| !rows.is_empty())?;
            Some(format!("{} {} rows, for example {}", finding["invariant"], rows.len(), rows[0]))
        };
        let findings: Vec<String> =
            said.as_array().map(|all| all.iter().filter_map(broken).collect()).unwrap_or_default();
        if findings.is_empty() {
            return Ok(vec![format!("shopctl verify: {}", String::from_utf8_lossy(&output.stderr))]);
        }
        Ok(findings)
    }

    /// I2: the gateway's own ledger against the orders.
    async fn one_charge_each(&self) -> anyhow::Result<Vec<String>> {
        let charges = charges(self.stage, self.since).await?;
        self.tally.add("charges", charges.len() as u64);
        unbalanced(self.stage, self.since, charges).await
    }

    /// I5: an order for each key, and none without.
    async fn one_order_per_key(&self) -> anyhow::Result<Vec<String>> {
        let orders: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM orders WHERE id > $1")
            .bind(self.since)
            .fetch_all(&self.stage.pool)
            .await?;
        self.tally.add("orders", orders.len() as u64);
        let mut orders: HashSet<Uuid> = orders.into_iter().collect();
        // A key is as old as its order, give or take the clocks.
        let (seconds, _) = self.since.get_timestamp().map_or((0, 0), |time| time.to_unix());
        let bodies: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT key, body FROM idempotency_keys WHERE status = 201 AND created_at > to_timestamp($1) - interval '1 minute'",
        )
        .bind(i64::try_from(seconds)?)
        .fetch_all(&self.stage.pool)
        .await?;
        let mut wrong = Vec::new();
        for (key, body) in bodies {
            let body: Value = serde_json::from_slice(&body).context("an answer that is kept is no JSON")?;
            let order: Uuid = body["id"].as_str().unwrap_or_default().parse()?;
            if order > self.since && !orders.remove(&order) {
                wrong.push(format!("I5 key {key} promises order {order}, which is not there"));
            }
        }
        if let Some(order) = orders.iter().next() {
            wrong.push(format!("I5 {} orders are of no key, for example {order}", orders.len()));
        }
        Ok(wrong)
    }

    /// I6: what was answered 2xx.
    async fn what_was_promised_is_there(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.journal.entries();
        let promised: Vec<Uuid> = entries.iter().filter_map(|(_, answer)| answer.as_ref()?.order()).collect();
        let missing: Vec<Uuid> = sqlx::query_scalar(
            "SELECT id FROM unnest($1::uuid[]) AS promised (id) WHERE id NOT IN (SELECT id FROM orders)",
        )
        .bind(&promised)
        .fetch_all(&self.stage.pool)
        .await?;
        let revived: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM orders WHERE id = ANY($1) AND status <> 'CANCELLED'")
                .bind(self.journal.cancellations())
                .fetch_all(&self.stage.pool)
                .await?;
        self.tally.add("acknowledged orders", promised.len() as u64);
        self.tally.add("acknowledged cancellations", self.journal.cancellations().len() as u64);
        let missing = missing.into_iter().map(|id| format!("I6 order {id} was answered 201 and is not there"));
        let revived = revived.into_iter().map(|id| format!("I6 order {id} was answered as cancelled and is not"));
        Ok(missing.chain(revived).take(5).collect())
    }

    /// What was booked is what was sent, by whom it was sent; and it ends as its payment method says.
    async fn booked_as_sent(&self) -> anyhow::Result<Vec<String>> {
        let entries = self.journal.entries();
        let sent: HashMap<Uuid, &Sent> =
            entries.iter().filter_map(|(sent, answer)| Some((answer.as_ref()?.order()?, sent))).collect();
        let ids: Vec<Uuid> = sent.keys().copied().collect();
        let lines: Vec<(Uuid, Uuid, i64)> =
            sqlx::query_as("SELECT order_id, product_id, quantity FROM order_items WHERE order_id = ANY($1)")
                .bind(&ids)
                .fetch_all(&self.stage.pool)
                .await?;
        let mut booked: HashMap<Uuid, BTreeMap<Uuid, i64>> = HashMap::new();
        for (order, product, quantity) in lines {
            *booked.entry(order).or_default().entry(product).or_default() += quantity;
        }
        let orders: Vec<(Uuid, Uuid, String, String, String)> = sqlx::query_as(
            "SELECT o.id, o.user_id, o.payment_method, o.status, coalesce(p.last_error, '')
             FROM orders o JOIN payments p ON p.order_id = o.id WHERE o.id = ANY($1)",
        )
        .bind(&ids)
        .fetch_all(&self.stage.pool)
        .await?;
        let mut wrong = Vec::new();
        for (order, customer, method, status, error) in orders {
            let Some(sent) = sent.get(&order) else { continue };
            let same = self.stage.customers[sent.customer].id == customer
                && sent.body["paymentMethod"] == method.as_str()
                && booked.get(&order) == Some(&lines_of(&sent.body));
            if !same {
                wrong.push(format!("I6 order {order} is not what was sent: {}", sent.body));
            }
            if !self.may_end(&method, &status, &error) {
                wrong.push(format!("order {order}, paid with {method}, is {status} ({error})"));
            }
        }
        Ok(wrong)
    }

    /// Whether an order that is paid like that may end like that.
    fn may_end(&self, method: &str, status: &str, error: &str) -> bool {
        if method == "pm_sim_decline_card_declined" {
            return status != "COMPLETED";
        }
        let is_approved = ["pm_sim_success", "pm_sim_slow_", "pm_sim_timeout_", "pm_sim_flaky_2", "pm_sim_decline_2_"]
            .iter()
            .any(|approved| method.starts_with(approved));
        // A gateway that says "failed" five times has said its last word; poison is voided.
        let excused =
            self.faults.contains(&Fault::F4) || self.faults.contains(&Fault::F10) && error.starts_with("poison");
        !is_approved || excused || matches!(status, "COMPLETED" | "CANCELLED")
    }

    /// What the jobs say of attempts and crashes.
    async fn jobs_tell_the_truth(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let spent: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM jobs j JOIN payments p ON p.order_id = j.order_id
             WHERE j.id > $1 AND j.kind = 'charge_payment' AND j.attempts <> (
                 SELECT count(*) FROM payment_attempts a
                 WHERE a.payment_id = p.id AND a.outcome IN ('approved', 'declined', 'transient'))",
        )
        .bind(self.since)
        .fetch_one(&self.stage.pool)
        .await?;
        if spent > 0 {
            wrong.push(format!("{spent} jobs have spent more or fewer attempts than the gateway gave answers"));
        }
        let crashed: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE id > $1 AND claims - 1 - retries > 0")
            .bind(self.since)
            .fetch_one(&self.stage.pool)
            .await?;
        self.tally.add("jobs taken over", u64::try_from(crashed)?);
        // With several faults at once a heartbeat may be late on a machine that has its hands full.
        if crashed > 0 && matches!(self.faults, [fault] if !fault.takes_workers()) {
            wrong.push(format!("{crashed} jobs were taken from workers that lived"));
        }
        Ok(wrong)
    }

    /// I7: numbers without gaps, and one end for each order.
    async fn events_are_whole(&self) -> anyhow::Result<Vec<String>> {
        let gaps: Vec<Uuid> = sqlx::query_scalar(
            "SELECT s.user_id FROM event_streams s LEFT JOIN events e USING (user_id) GROUP BY s.user_id, s.last_seq
             HAVING count(*) <> s.last_seq OR min(e.seq) <> 1 OR max(e.seq) <> s.last_seq",
        )
        .fetch_all(&self.stage.pool)
        .await?;
        let ends: Vec<(Uuid, i64)> = sqlx::query_as(
            "SELECT o.id, count(e.seq) FROM orders o
             LEFT JOIN events e ON e.order_id = o.id AND e.user_id = o.user_id AND e.kind = 'order.status'
                                   AND e.data->>'status' IN ('COMPLETED', 'FAILED', 'CANCELLED')
             WHERE o.id > $1 AND o.status NOT IN ('PENDING', 'PROCESSING')
             GROUP BY o.id HAVING count(e.seq) <> 1",
        )
        .bind(self.since)
        .fetch_all(&self.stage.pool)
        .await?;
        let gaps = gaps.into_iter().map(|user| format!("I7 the events of {user} have gaps"));
        let ends = ends.into_iter().map(|(order, ends)| format!("I7 order {order} has ended {ends} times"));
        Ok(gaps.chain(ends).take(5).collect())
    }

    /// I8: sessions, files, memory, and programs that are still there.
    async fn nothing_leaks(&self) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        let stuck: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = 'shop' AND xact_start < now() - interval '3 seconds' AND pid <> pg_backend_pid()
               AND backend_type = 'client backend'",
        )
        .fetch_one(&self.stage.pool)
        .await?;
        if stuck > 0 {
            wrong.push(format!("I8 {stuck} sessions are still in a transaction"));
        }
        for node in self.stage.nodes() {
            let name = &node.program.name;
            if let Some(status) = node.program.ended() {
                wrong.push(format!("I8 {name} ended by itself: {status}"));
            }
            let (files, memory) = (node.program.open_files().unwrap_or(0), node.program.memory().unwrap_or(0));
            self.tally.most("open files of a program", files as u64);
            let largest = if name.starts_with("api") { "memory of an api, MiB" } else { "memory of a worker, MiB" };
            self.tally.most(largest, memory);
            if files > OPEN_FILES || memory > MEMORY_MIB {
                wrong.push(format!("I8 {name} has {files} files open and holds {memory} MiB"));
            }
        }
        Ok(wrong)
    }
}
