//! Turns the lines of an export into what has to be done: a catalogue, customers, and for every invoice a cart or a refusal.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::NaiveDateTime;
use rust_decimal::Decimal;

use crate::export::{Line, Reason, Row};

/// The most lines the shop takes in one order.
const MAX_LINES: usize = 1_000;
/// The most characters of a product's name.
const MAX_NAME: usize = 200;

/// How many times each reason was met.
pub(crate) type Reasons = BTreeMap<Reason, usize>;

/// Everything a replay has to do, and everything it will not.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) products: Vec<Product>,
    /// By the position that carts refer to; `None` is the guest account.
    pub(crate) customers: Vec<Option<String>>,
    /// Every invoice, in the order of the export.
    pub(crate) invoices: Vec<Invoice>,
    /// Lines of all those invoices.
    pub(crate) lines: usize,
    /// Lines left out of invoices that are sold.
    pub(crate) left_out: Reasons,
    /// Rows that name no invoice.
    pub(crate) strays: usize,
}

/// One code of the export as the shop will sell it.
#[derive(Debug, PartialEq)]
pub(crate) struct Product {
    pub(crate) code: String,
    /// The code and the description met most often.
    pub(crate) name: String,
    /// The price met most often; on a tie, the lowest.
    pub(crate) price: Decimal,
    /// All that the planned carts ask for, so that nobody is refused for stock.
    pub(crate) stock: u64,
}

#[derive(Debug)]
pub(crate) struct Invoice {
    pub(crate) number: String,
    pub(crate) planned: Result<Cart, Reason>,
}

/// What one invoice orders.
#[derive(Debug, PartialEq)]
pub(crate) struct Cart {
    /// Position in [`Plan::customers`].
    pub(crate) customer: usize,
    pub(crate) at: NaiveDateTime,
    pub(crate) items: Vec<Item>,
    /// What the export says it cost; the shop charges the price in the catalogue.
    pub(crate) exported_total: Decimal,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Item {
    /// Position in [`Plan::products`].
    pub(crate) product: usize,
    pub(crate) quantity: u32,
}

impl Plan {
    /// Plans the first `limit` invoices of the export; what comes after them counts for nothing.
    pub(crate) fn of(rows: Vec<Row>, limit: usize) -> Self {
        let mut plan = Self::default();
        let mut customers = HashMap::new();
        let mut catalogue = Catalogue::default();
        for (number, lines) in plan.by_invoice(rows, limit) {
            plan.lines += lines.len();
            let (sold, reasons) = sort_out(lines);
            let planned = match sold.first() {
                None => Err(most_frequent(&reasons)),
                Some(_) if sold.len() > MAX_LINES => Err(Reason::TooManyLines),
                Some(first) => {
                    for (reason, count) in reasons {
                        *plan.left_out.entry(reason).or_default() += count;
                    }
                    let who = sold.iter().find_map(|line| line.customer.clone());
                    let customer = *customers.entry(who).or_insert_with_key(|who| {
                        plan.customers.push(who.clone());
                        plan.customers.len() - 1
                    });
                    Ok(Cart {
                        customer,
                        at: first.at,
                        exported_total: sold.iter().map(|line| line.price * Decimal::from(line.quantity)).sum(),
                        items: sold.into_iter().map(|line| catalogue.add(line)).collect(),
                    })
                }
            };
            plan.invoices.push(Invoice { number, planned });
        }
        plan.products = catalogue.into_products();
        plan
    }

    /// Brings the lines of an invoice together, wherever in the export they stand.
    fn by_invoice(&mut self, rows: Vec<Row>, limit: usize) -> Vec<(String, Vec<Result<Line, Reason>>)> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut invoices: Vec<(String, Vec<_>)> = Vec::new();
        for row in rows {
            if row.invoice.is_empty() {
                self.strays += 1;
            } else if let Some(&place) = places.get(&row.invoice) {
                invoices[place].1.push(row.line);
            } else if invoices.len() < limit {
                places.insert(row.invoice.clone(), invoices.len());
                invoices.push((row.invoice, vec![row.line]));
            }
        }
        invoices
    }

    /// The invoices to place, by their position in [`Plan::invoices`].
    pub(crate) fn carts(&self) -> impl Iterator<Item = (usize, &Cart)> {
        self.invoices.iter().enumerate().filter_map(|(at, invoice)| Some((at, invoice.planned.as_ref().ok()?)))
    }

    /// The invoices that are not placed, by reason.
    pub(crate) fn refused(&self) -> Reasons {
        let mut refused = Reasons::new();
        for reason in self.invoices.iter().filter_map(|invoice| invoice.planned.as_ref().err()) {
            *refused.entry(*reason).or_default() += 1;
        }
        refused
    }

    /// The invoices to place, in lanes whose order matters: one lane for each customer. Guests share an account but are many
    /// people, so each of their invoices is a lane of its own.
    pub(crate) fn lanes(&self) -> Vec<VecDeque<usize>> {
        let mut lanes = vec![VecDeque::new(); self.customers.len()];
        for (invoice, cart) in self.carts() {
            if self.customers[cart.customer].is_some() {
                lanes[cart.customer].push_back(invoice);
            } else {
                lanes.push(VecDeque::from([invoice]));
            }
        }
        lanes.retain(|lane| !lane.is_empty());
        lanes
    }

    /// What the shop will charge for this cart.
    pub(crate) fn total(&self, cart: &Cart) -> Decimal {
        cart.items.iter().map(|item| self.products[item.product].price * Decimal::from(item.quantity)).sum()
    }
}

fn sort_out(lines: Vec<Result<Line, Reason>>) -> (Vec<Line>, Reasons) {
    let mut sold = Vec::new();
    let mut reasons = Reasons::new();
    for line in lines {
        match line {
            Ok(line) => sold.push(line),
            Err(reason) => *reasons.entry(reason).or_default() += 1,
        }
    }
    (sold, reasons)
}

/// The reason that most lines of an unsold invoice share; on a tie, the one asked first.
fn most_frequent(reasons: &Reasons) -> Reason {
    let most = reasons.iter().max_by_key(|(reason, count)| (**count, Reverse(**reason)));
    most.map_or(Reason::NotASale, |(reason, _)| *reason)
}

/// The products met so far, with all their prices and descriptions.
#[derive(Default)]
struct Catalogue {
    places: HashMap<String, usize>,
    tallies: Vec<Tally>,
}

#[derive(Default)]
struct Tally {
    code: String,
    prices: BTreeMap<Decimal, usize>,
    descriptions: BTreeMap<String, usize>,
    demand: u64,
}

impl Catalogue {
    fn add(&mut self, line: Line) -> Item {
        let product = *self.places.entry(line.code).or_insert_with_key(|code| {
            self.tallies.push(Tally { code: code.clone(), ..Tally::default() });
            self.tallies.len() - 1
        });
        let tally = &mut self.tallies[product];
        *tally.prices.entry(line.price).or_default() += 1;
        if !line.description.is_empty() {
            *tally.descriptions.entry(line.description).or_default() += 1;
        }
        tally.demand += u64::from(line.quantity);
        Item { product, quantity: line.quantity }
    }

    fn into_products(self) -> Vec<Product> {
        self.tallies.into_iter().map(Tally::into_product).collect()
    }
}

impl Tally {
    fn into_product(self) -> Product {
        let description = first_of_most(&self.descriptions).map_or("", String::as_str);
        Product {
            name: format!("{} {description}", self.code).trim_end().chars().take(MAX_NAME).collect(),
            price: first_of_most(&self.prices).copied().unwrap_or_default(),
            stock: self.demand,
            code: self.code,
        }
    }
}

/// The key counted most often; on a tie, the lowest.
fn first_of_most<K: Ord>(counts: &BTreeMap<K, usize>) -> Option<&K> {
    counts.iter().max_by_key(|(key, count)| (**count, Reverse(*key))).map(|(key, _)| key)
}

#[cfg(test)]
mod tests;
