//! What the customers were told: every acknowledged answer, to be held against the books.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use uuid::Uuid;

/// A conclusive answer to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 201, or the status of a refusal.
    pub status: u16,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl Answer {
    /// The accepted order.
    pub fn order(&self) -> Option<Uuid> {
        if self.status != 201 {
            return None;
        }
        serde_json::from_slice::<Value>(&self.body).ok()?["id"].as_str()?.parse().ok()
    }
}

/// An order as it was sent, to be sent again.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Which customer.
    pub customer: usize,
    /// The idempotency key.
    pub key: String,
    /// The body.
    pub body: Value,
}

/// The journal of one round.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Pages>);

/// What is written in it.
#[derive(Debug, Default)]
struct Pages {
    sent: HashMap<String, Sent>,
    answers: HashMap<String, Answer>,
    cancelled: Vec<Uuid>,
    violations: Vec<String>,
}

impl Journal {
    /// An order is about to be sent.
    pub fn sending(&self, sent: &Sent) {
        self.pages().sent.insert(sent.key.clone(), sent.clone());
    }

    /// A conclusive answer has come. A key that gets two different ones is a violation.
    pub fn answered(&self, key: &str, answer: Answer) {
        let mut pages = self.pages();
        match pages.answers.get(key) {
            Some(first) if *first != answer => {
                let text = |answer: &Answer| format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
                let violation = format!("I5 key {key} was answered {} and then {}", text(first), text(&answer));
                pages.violations.push(violation);
            }
            Some(_) => {}
            None => {
                pages.answers.insert(key.to_owned(), answer);
            }
        }
    }

    /// A cancellation was acknowledged.
    pub fn cancelled(&self, order: Uuid) {
        self.pages().cancelled.push(order);
    }

    /// Something that must not be.
    pub fn violation(&self, what: String) {
        self.pages().violations.push(what);
    }

    /// How many orders were accepted.
    pub fn accepted(&self) -> usize {
        self.pages().answers.values().filter(|answer| answer.status == 201).count()
    }

    /// Every key, what was sent under it, and what was answered.
    pub fn entries(&self) -> Vec<(Sent, Option<Answer>)> {
        let pages = self.pages();
        pages.sent.values().map(|sent| (sent.clone(), pages.answers.get(&sent.key).cloned())).collect()
    }

    /// The orders whose cancellation was acknowledged.
    pub fn cancellations(&self) -> Vec<Uuid> {
        self.pages().cancelled.clone()
    }

    /// What must not be.
    pub fn violations(&self) -> Vec<String> {
        self.pages().violations.clone()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
