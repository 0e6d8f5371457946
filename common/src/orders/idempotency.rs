//! Idempotency keys: one key, one order, and every replay byte for byte.
//!
//! A key is kept in the very transaction that places its order. While that
//! transaction is open, an advisory lock says so to everyone else, who would
//! otherwise have to wait for it inside a transaction of their own.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use super::Lines;
use crate::id::UserId;
use crate::payments::PaymentMethod;

/// Keys are scoped by what they were used for.
pub(super) const ROUTE: &str = "POST /orders";

/// How long an answer is kept, in hours.
pub const KEPT_HOURS: i32 = 24;

/// A client's name for a request, 1 to 255 bytes of visible ASCII and spaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct IdempotencyKey(String);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key must have 1 to 255 printable ASCII characters")]
pub struct IdempotencyKeyError;

impl IdempotencyKey {
    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for IdempotencyKey {
    type Err = IdempotencyKeyError;

    /// Takes the key bare, or quoted as a structured field string (RFC 9651, as the
    /// IETF draft for the `Idempotency-Key` header has it). Both are the same key.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let key = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(quoted) => unescaped(quoted),
            None => text.to_owned(),
        };
        if (1..=255).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            Ok(Self(key))
        } else {
            Err(IdempotencyKeyError)
        }
    }
}

/// What was put in quotes, where a quote and a backslash have a backslash before them.
fn unescaped(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut rest = quoted.chars().peekable();
    while let Some(character) = rest.next() {
        let escaped = if character == '\\' { rest.next_if(|next| matches!(next, '"' | '\\')) } else { None };
        text.push(escaped.unwrap_or(character));
    }
    text
}

/// What a request asks for, in 32 bytes: the same key with another one is a client's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of an order.
    pub fn of(lines: &Lines, method: &PaymentMethod) -> Self {
        let mut hash = Sha256::new();
        for (product, quantity) in lines.iter() {
            hash.update(product.0.as_bytes());
            hash.update(quantity.to_be_bytes());
        }
        hash.update(method.as_str());
        Self(hash.finalize().into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A decision as the customer reads it. It is kept under the order's key and given again byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// A number that only the renderer understands.
    pub status: i16,
    /// The body.
    pub body: Arc<[u8]>,
}

/// What is known of a key.
#[derive(Debug, Clone)]
pub(super) enum KeyState {
    /// Nobody has used it.
    Fresh,
    /// Another transaction is using it.
    InFlight,
    /// It has an answer.
    Answered { same_request: bool, answer: Answer },
}

/// Locks the keys until the transaction ends and says what is known of each, in their order.
///
/// Two statements on purpose: a snapshot that was taken before the lock was free would not
/// show what its holder has just committed.
pub(super) async fn look_up(
    connection: &mut PgConnection,
    keys: &[(UserId, &IdempotencyKey, Fingerprint)],
) -> Result<Vec<KeyState>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let users: Vec<UserId> = keys.iter().map(|(user, _, _)| *user).collect();
    let names: Vec<&str> = keys.iter().map(|(_, key, _)| key.as_str()).collect();
    let locked: Vec<bool> = sqlx::query_scalar(
        "SELECT pg_try_advisory_xact_lock(hashtextextended($3 || ' ' || user_id || ' ' || key, 0))
         FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS t (user_id, key, n) ORDER BY n",
    )
    .bind(&users)
    .bind(&names)
    .bind(ROUTE)
    .fetch_all(&mut *connection)
    .await?;
    // The inner query is not taken apart (LIMIT), so each key is looked up by the primary key. A join with what is young
    // enough would read all keys of the day for each group, if it was planned when there were few.
    let kept: Vec<Kept> = sqlx::query_as(
        "SELECT k.fingerprint, k.status, k.body
         FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS t (user_id, key, n)
         LEFT JOIN LATERAL (
             SELECT * FROM idempotency_keys WHERE user_id = t.user_id AND route = $3 AND key = t.key LIMIT 1
         ) k ON k.created_at > now() - make_interval(hours => $4)
         ORDER BY n",
    )
    .bind(&users)
    .bind(&names)
    .bind(ROUTE)
    .bind(KEPT_HOURS)
    .fetch_all(connection)
    .await?;
    Ok(keys
        .iter()
        .zip(locked)
        .zip(kept)
        .map(|(((_, _, fingerprint), locked), kept)| match kept {
            Kept { fingerprint: Some(known), status: Some(status), body: Some(body) } => KeyState::Answered {
                same_request: known == fingerprint.0,
                answer: Answer { status, body: body.into() },
            },
            _ if locked => KeyState::Fresh,
            _ => KeyState::InFlight,
        })
        .collect())
}

/// Forgets keys that are too old to be replayed, so many at most, and gives how many they were. Any number of
/// workers may do it at once. A key that is used again at this moment is young again, and stays.
///
/// # Errors
/// When the database refuses.
pub async fn forget(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    let gone = sqlx::query(
        "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM idempotency_keys WHERE created_at < now() - make_interval(hours => $1)
             ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(KEPT_HOURS)
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(gone.rows_affected())
}

/// What is kept under a key, if anything is.
#[derive(sqlx::FromRow)]
struct Kept {
    fingerprint: Option<Vec<u8>>,
    status: Option<i16>,
    body: Option<Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::ProductId;
    use crate::orders::Quantity;

    #[test]
    fn a_key_is_the_same_bare_and_quoted() {
        let bare: IdempotencyKey = "cart-7".parse().unwrap();
        assert_eq!("\"cart-7\"".parse(), Ok(bare));
        let with_quote: IdempotencyKey = r#"12" mug \"#.parse().unwrap();
        assert_eq!(r#""12\" mug \\""#.parse(), Ok(with_quote));
        for bad in ["", "\"\"", "é", "a\nb", &"x".repeat(256)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(IdempotencyKeyError), "{bad:?}");
        }
    }

    #[test]
    fn another_cart_or_method_has_another_fingerprint() {
        let product = ProductId::new();
        let cart = |pieces| Lines::new([(product, Quantity::try_from(pieces).unwrap())]).unwrap();
        let card = PaymentMethod::try_from("pm_sim_success".to_owned()).unwrap();

        assert_eq!(Fingerprint::of(&cart(1), &card), Fingerprint::of(&cart(1), &card));
        assert_ne!(Fingerprint::of(&cart(1), &card), Fingerprint::of(&cart(2), &card));
        assert_ne!(Fingerprint::of(&cart(1), &card), Fingerprint::of(&cart(1), &PaymentMethod::default()));
    }

    /// Few products, pieces and methods, so that equal orders are drawn too.
    fn orders() -> impl Strategy<Value = (Vec<(usize, i64)>, String)> {
        let lines = prop::collection::vec((0..3_usize, 1..3_i64), 1..4);
        (lines, prop::sample::select(vec!["a", "aa", "b", "test"]).prop_map(str::to_owned))
    }

    proptest! {
        #[test]
        fn fingerprints_are_equal_just_when_the_orders_are(one in orders(), other in orders()) {
            let products: Vec<ProductId> = (1..4_u128).map(|n| ProductId(uuid::Uuid::from_u128(n))).collect();
            let read = |(lines, method): (Vec<(usize, i64)>, String)| {
                let lines = lines.into_iter().map(|(n, pieces)| (products[n], Quantity::try_from(pieces).unwrap()));
                (Lines::new(lines).unwrap(), PaymentMethod::try_from(method).unwrap())
            };
            let (one, other) = (read(one), read(other));
            prop_assert_eq!(Fingerprint::of(&one.0, &one.1) == Fingerprint::of(&other.0, &other.1), one == other);
        }

        /// A product on two lines is the same order as on one.
        #[test]
        fn spelling_does_not_matter(part in 1..1_000_i64, rest in 1..1_000_i64) {
            let mug = ProductId::new();
            let quantity = |pieces| Quantity::try_from(pieces).unwrap();
            let together = Lines::new([(mug, quantity(part + rest))]).unwrap();
            let apart = Lines::new([(mug, quantity(part)), (mug, quantity(rest))]);
            let card = PaymentMethod::default();
            prop_assert_eq!(Fingerprint::of(&together, &card), Fingerprint::of(&apart.unwrap(), &card));
        }
    }
}
