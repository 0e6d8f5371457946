//! Places every sale of the plan as its customer, at the wanted pace, and keeps what became of each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::NaiveDateTime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::args::Speed;
use crate::lineup::{Lineup, Turn};
use crate::plan::{Cart, Plan};
use crate::shop::{Account, NewItem, NewOrder, Order, Shop};
use crate::wire::Failure;
use crate::{payment, progress};

/// What is sold to whom in this run; products and accounts stand in the order of the plan.
pub(crate) struct Sales<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run_id: &'a str,
    pub(crate) goods: &'a [String],
    pub(crate) accounts: &'a [Arc<Account>],
    /// Pays every order, instead of the mix.
    pub(crate) payment_method: Option<&'a str>,
}

/// The fate of every cart, and the time it took to place them all.
#[derive(Debug)]
pub(crate) struct Placed {
    /// By the position of the invoice in the plan.
    pub(crate) fates: BTreeMap<usize, Fate>,
    pub(crate) took: Duration,
}

/// What the shop answered, and the time from the first try to that answer.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) answer: Result<Order, Failure>,
    pub(crate) latency: Duration,
}

impl Placed {
    /// The orders that were accepted, with the cart of each.
    pub(crate) fn orders<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a Order, &'a Cart)> {
        plan.carts().filter_map(|(invoice, cart)| Some((self.fates.get(&invoice)?.answer.as_ref().ok()?, cart)))
    }

    pub(crate) fn orders_by_customer(&self, plan: &Plan) -> HashMap<usize, Vec<String>> {
        let mut orders: HashMap<usize, Vec<String>> = HashMap::new();
        for (order, cart) in self.orders(plan) {
            orders.entry(cart.customer).or_default().push(order.id.clone());
        }
        orders
    }
}

/// When a sale may go out.
pub(crate) struct Pace {
    speed: Speed,
    begun: Instant,
    /// The time of the earliest sale.
    opening: NaiveDateTime,
}

impl Pace {
    pub(crate) fn new(speed: Speed, plan: &Plan) -> Self {
        let opening = plan.carts().map(|(_, cart)| cart.at).min().unwrap_or_default();
        Self { speed, begun: Instant::now(), opening }
    }

    fn due(&self, at: NaiveDateTime) -> Instant {
        match self.speed {
            Speed::Max => self.begun,
            Speed::Times(times) => self.begun + (at - self.opening).to_std().unwrap_or_default().div_f64(times),
        }
    }
}

/// Keeps `clients` orders on their way, as long as there are sales due whose customer is free.
pub(crate) async fn all(shop: &Arc<Shop>, sales: &Sales<'_>, clients: usize, pace: Pace) -> anyhow::Result<Placed> {
    let carts: BTreeMap<usize, &Cart> = sales.plan.carts().collect();
    let bar = progress::bar("placing orders", carts.len());
    let mut lineup = Lineup::new(sales.plan.lanes());
    let mut under_way: JoinSet<(Turn, Fate)> = JoinSet::new();
    let mut fates = BTreeMap::new();
    let mut last_answer = pace.begun;
    loop {
        let due = lineup.peek().filter(|_| under_way.len() < clients).map(|invoice| pace.due(carts[&invoice].at));
        if due.is_some_and(|due| due <= Instant::now())
            && let Some(turn) = lineup.next()
        {
            under_way.spawn(sales.place(shop, turn, carts[&turn.invoice]));
            continue;
        }
        tokio::select! {
            Some(answered) = under_way.join_next() => {
                let (turn, fate) = answered.context("an order was given up half way")?;
                fates.insert(turn.invoice, fate);
                lineup.done(turn);
                last_answer = Instant::now();
                bar.inc(1);
            }
            () = sleep_until(due.unwrap_or(pace.begun)), if due.is_some() => {}
            else => return Ok(Placed { fates, took: last_answer - pace.begun }),
        }
    }
}

impl Sales<'_> {
    /// One order, as a task of its own.
    fn place(&self, shop: &Arc<Shop>, turn: Turn, cart: &Cart) -> impl Future<Output = (Turn, Fate)> + Send + use<> {
        let number = &self.plan.invoices[turn.invoice].number;
        let key = format!("replay-{}-{number}", self.run_id);
        let items = cart
            .items
            .iter()
            .map(|item| NewItem { product_id: self.goods[item.product].clone(), quantity: item.quantity });
        let order = NewOrder {
            items: items.collect(),
            payment_method: self.payment_method.unwrap_or_else(|| payment::method(number)).to_owned(),
        };
        let customer = Arc::clone(&self.accounts[cart.customer]);
        let shop = Arc::clone(shop);
        async move {
            let begun = Instant::now();
            let answer = shop.place(&customer, &key, &order).await;
            (turn, Fate { answer, latency: begun.elapsed() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_shrink_by_the_speed_and_vanish_at_the_greatest() {
        let opening = NaiveDateTime::default();
        let later = opening + chrono::TimeDelta::hours(1);
        let pace = |speed| Pace { speed, begun: Instant::now(), opening };
        let fast = pace(Speed::Times(60.0));
        assert_eq!(fast.due(opening), fast.begun);
        assert_eq!(fast.due(later) - fast.begun, Duration::from_secs(60));
        let fastest = pace(Speed::Max);
        assert_eq!(fastest.due(later), fastest.begun);
    }
}
