//! The pages that only operators ask for: everybody's orders, users, payments.

use shop_common::money::Money;
use shop_common::orders::queries::{OrderColumn, OrderFilter};
use shop_common::orders::status::OrderStatus;
use shop_common::pagination::{Direction, PageRequest};
use shop_common::payments::record::{PaymentColumn, PaymentFilter};
use shop_common::payments::{PaymentMethod, PaymentStatus};
use shop_common::users::Role;
use shop_common::users::directory::{UserColumn, UserFilter};

use crate::books::Books;
use crate::pages::{Asked, NARROW, Page, TAKE, at, both_orders};

/// All of them, on that shop.
pub(crate) async fn all(books: &Books) -> anyhow::Result<Vec<Asked>> {
    let mut asked = of_orders(books).await?;
    asked.extend(of_users()?);
    asked.extend(of_payments(books)?);
    Ok(asked)
}

async fn of_orders(books: &Books) -> anyhow::Result<Vec<Asked>> {
    use OrderColumn::{CreatedAt, Id, Total};
    use OrderStatus::{Cancelled, Completed, Failed, Pending, Processing};
    let (all, orders) = (OrderFilter::of_anybody(), books.orders);
    let with = |statuses: &[OrderStatus]| OrderFilter { statuses: statuses.to_vec(), ..all.clone() };
    let few = OrderFilter { from: at(orders / 2)?, to: at(orders / 2 + NARROW)?, ..all.clone() };
    let nearly_all_a_total = u64::from(orders.saturating_sub(NARROW)) * 100_000 / u64::from(orders);
    let dear = OrderFilter { min_total: Some(Money::from_minor(i64::try_from(nearly_all_a_total)?)?), ..all.clone() };
    let mut asked = Vec::new();
    for (name, filter, column, rows) in [
        ("everybody's orders", &all, Id, orders),
        ("everybody's, 200 by time", &few, CreatedAt, NARROW),
        ("everybody's, open", &with(&[Pending, Processing]), Id, orders / 1000),
        ("everybody's, completed", &with(&[Completed]), Id, orders / 2),
        ("everybody's, failed", &with(&[Failed]), Id, orders / 13),
        ("everybody's, failed or cancelled", &with(&[Failed, Cancelled]), Id, orders / 7),
        ("everybody's", &all, Total, orders),
        ("everybody's, 200 by total", &dear, Id, NARROW),
    ] {
        asked.extend(both_orders(books, name, filter, column, rows).await?);
    }
    Ok(asked)
}

fn of_users() -> anyhow::Result<Vec<Asked>> {
    let part = |text: &str| -> anyhow::Result<UserFilter> {
        Ok(UserFilter { email: Some(text.parse().map_err(anyhow::Error::msg)?), ..UserFilter::default() })
    };
    let admins = UserFilter { role: Some(Role::Admin), ..UserFilter::default() };
    let asked = |name: &str, filter: UserFilter, column, direction| {
        let page = PageRequest::first(column, direction, TAKE, &filter);
        Asked { name: name.to_owned(), page: Page::Users(filter, page) }
    };
    let newest = (UserColumn::Id, Direction::Descending);
    Ok(vec![
        asked("users", UserFilter::default(), newest.0, newest.1),
        asked("users, orderBy=Email", UserFilter::default(), UserColumn::Email, Direction::Ascending),
        asked("users, admins", admins, newest.0, newest.1),
        asked("users, one email of all", part("17@lists")?, newest.0, newest.1),
        asked("users, a part of every email", part("lists")?, newest.0, newest.1),
        asked("users, a part of no email", part("nobody-has-this")?, newest.0, newest.1),
    ])
}

fn of_payments(books: &Books) -> anyhow::Result<Vec<Asked>> {
    let all = PaymentFilter::default();
    let with = |status| PaymentFilter { status: Some(status), ..all.clone() };
    let method = PaymentMethod::try_from("rare".to_owned()).map_err(anyhow::Error::msg)?;
    let rare = PaymentFilter { method: Some(method), ..all.clone() };
    let lately = PaymentFilter { from: at(books.orders.saturating_sub(NARROW))?, ..all.clone() };
    let failed_lately = PaymentFilter { status: Some(PaymentStatus::Failed), ..lately.clone() };
    let asked = |name: &str, filter: PaymentFilter, column| {
        let page = PageRequest::first(column, Direction::Descending, TAKE, &filter);
        Asked { name: name.to_owned(), page: Page::Payments(filter, page) }
    };
    Ok(vec![
        asked("payments", all.clone(), PaymentColumn::Id),
        asked("payments, completed", with(PaymentStatus::Completed), PaymentColumn::Id),
        asked("payments, failed", with(PaymentStatus::Failed), PaymentColumn::Id),
        asked("payments, pending", with(PaymentStatus::Pending), PaymentColumn::Id),
        asked("payments, a rare method", rare, PaymentColumn::Id),
        asked("payments, the last 200", lately, PaymentColumn::CreatedAt),
        asked("payments, failed ones of the last 200", failed_lately, PaymentColumn::CreatedAt),
    ])
}
