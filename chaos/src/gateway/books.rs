//! The gateway's books: an append-only ledger, and what it says in memory.
//!
//! A line is the whole of a charge as it is from then on; the last line of a key
//! counts. It is written and synced before anybody hears of it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shop_common::config;
use shop_common::payments::ChargeKey;
use shop_worker::payments::gateway::Charge;
use shop_worker::payments::simulated::{self, Act};

use super::faults::{Fault, Faults};

/// How far a charge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Tried, without an end.
    Open,
    /// The money is here.
    Captured,
    /// Refused for good.
    Declined,
    /// Dead: refused before it was ever captured.
    Voided,
    /// The money went back.
    Refunded,
}

/// A charge, as a line of the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its idempotency key.
    pub key: String,
    /// For which payment of the shop.
    pub payment: String,
    /// How much, in minor units; 0 for one that was voided before it was seen.
    pub amount_minor: i64,
    /// In which currency.
    pub currency: String,
    /// How it was to be paid.
    pub method: String,
    /// How often the key had been sent by then.
    pub calls: i32,
    /// How far it is.
    pub state: State,
    /// Why it was declined.
    pub code: Option<String>,
    /// Whether it is captured and somebody who sent it was not told so.
    pub ambiguous: bool,
}

/// What is answered to a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Captured, under that reference.
    Captured(String),
    /// Declined.
    Declined {
        /// Why.
        code: String,
        /// Whether a new key may go better.
        retryable: bool,
    },
    /// "That failed": the same key may be sent again.
    Failed(&'static str),
    /// An error that says nothing.
    Error,
    /// Nothing at all.
    Silence,
}

/// How much of what is in the books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Keys.
    pub charges: usize,
    /// Charges that are captured and not given back.
    pub captured: usize,
    /// Charges that were given back.
    pub refunded: usize,
    /// Keys that are dead.
    pub voided: usize,
    /// Charges that were declined.
    pub declined: usize,
    /// Charges that were captured while the answer was withheld or an error.
    pub ambiguous: usize,
}

/// Why a ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The file cannot be read or written.
    #[error("the ledger {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is not one of ours.
    #[error("the ledger {path}, line {line}: {source}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The books of a gateway.
#[derive(Debug)]
pub struct Books {
    file: File,
    /// What of the file is whole lines.
    length: u64,
    charges: BTreeMap<String, Entry>,
    calls: HashMap<String, i32>,
}

impl Books {
    /// The books as that file has them; an empty one is made when it is not there.
    ///
    /// # Errors
    /// When the file cannot be used or is no ledger.
    pub fn open(path: &Path) -> Result<Self, BooksError> {
        let (file, text) = read(path).map_err(|source| BooksError::File { path: path.to_owned(), source })?;
        let mut books = Self { file, length: text.len() as u64, charges: BTreeMap::new(), calls: HashMap::new() };
        for (number, line) in text.lines().enumerate() {
            let entry: Entry = serde_json::from_str(line).map_err(|source| BooksError::Line {
                path: path.to_owned(),
                line: number + 1,
                source,
            })?;
            books.keep(entry);
        }
        Ok(books)
    }

    /// Charges, unless the faults stand before it, and says what to answer.
    ///
    /// # Errors
    /// When the ledger cannot be written; then nothing has happened.
    pub fn charge(&mut self, charge: &Charge, faults: &Faults, settings: &config::Gateway) -> io::Result<Reply> {
        let key = charge.key.as_str();
        let calls = *self.calls.entry(key.to_owned()).and_modify(|calls| *calls += 1).or_insert(1);
        let fault = faults.draw(key, calls);
        match fault {
            Some(Fault::Hang) => return Ok(Reply::Silence),
            Some(Fault::Refuse) => return Ok(Reply::Failed("refused")),
            _ => {}
        }
        let known = self.charges.get(key).and_then(|entry| Some((entry.clone(), told(entry)?)));
        let (mut entry, reply) = known.unwrap_or_else(|| {
            let entry = |state, code| Entry {
                key: key.to_owned(),
                payment: charge.payment.to_string(),
                amount_minor: charge.amount.minor(),
                currency: charge.currency.code().to_owned(),
                method: charge.method.as_str().to_owned(),
                calls,
                state,
                code,
                ambiguous: false,
            };
            match simulated::act(charge, calls, settings) {
                Act::Capture => (entry(State::Captured, None), Reply::Captured(simulated::reference(key))),
                Act::CaptureInSilence => (entry(State::Captured, None), Reply::Silence),
                Act::Decline { code, retryable } => {
                    (entry(State::Declined, Some(code.clone())), Reply::Declined { code, retryable })
                }
                Act::Fail => (entry(State::Open, None), Reply::Failed("gateway_error")),
                Act::Silence => (entry(State::Open, None), Reply::Silence),
            }
        });
        let reply = match fault {
            Some(Fault::TimeoutAfterCharge) => Reply::Silence,
            Some(Fault::ErrorAfterCharge) => Reply::Error,
            Some(Fault::FailedAfterCharge) => Reply::Failed("failed_after_charge"),
            _ => reply,
        };
        entry.ambiguous |= entry.state == State::Captured && !matches!(reply, Reply::Captured(_));
        self.write(entry)?;
        Ok(reply)
    }

    /// What is known of a key.
    pub fn find(&self, key: &str) -> Option<&Entry> {
        self.charges.get(key)
    }

    /// Makes a key dead, also one that was never seen. Gives the charge as it is then: captured, or dead.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn void(&mut self, key: &ChargeKey) -> io::Result<Entry> {
        let mut entry = self.charges.get(key.as_str()).cloned().unwrap_or_else(|| Entry {
            key: key.as_str().to_owned(),
            payment: key.payment().map(|payment| payment.to_string()).unwrap_or_default(),
            amount_minor: 0,
            currency: String::new(),
            method: String::new(),
            calls: 0,
            state: State::Voided,
            code: None,
            ambiguous: false,
        });
        if !matches!(entry.state, State::Captured | State::Refunded) {
            entry.state = State::Voided;
        }
        self.write(entry.clone())?;
        Ok(entry)
    }

    /// Gives a captured charge back. Gives the charge as it is then.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn refund(&mut self, key: &str) -> io::Result<Option<Entry>> {
        let Some(mut entry) = self.charges.get(key).cloned() else { return Ok(None) };
        if entry.state == State::Captured {
            entry.state = State::Refunded;
        }
        self.write(entry.clone())?;
        Ok(Some(entry))
    }

    /// Charges whose money came (it may have gone back since), by key, after that one.
    pub fn captured(&self, after: Option<&str>, limit: usize) -> Vec<Entry> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.charges
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(_, entry)| entry)
            .filter(|entry| matches!(entry.state, State::Captured | State::Refunded))
            .take(limit)
            .cloned()
            .collect()
    }

    /// How much of what there is.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { charges: self.charges.len(), ..Stats::default() };
        for entry in self.charges.values() {
            match entry.state {
                State::Open => {}
                State::Captured => stats.captured += 1,
                State::Declined => stats.declined += 1,
                State::Voided => stats.voided += 1,
                State::Refunded => stats.refunded += 1,
            }
            stats.ambiguous += usize::from(entry.ambiguous);
        }
        stats
    }

    /// Writes what is new of a charge, and keeps it once it is on disk.
    fn write(&mut self, entry: Entry) -> io::Result<()> {
        if self.charges.get(&entry.key) == Some(&entry) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // Nobody was told, so what is there of the line must not be found again.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += line.len() as u64;
        self.keep(entry);
        Ok(())
    }

    fn keep(&mut self, entry: Entry) {
        let calls = self.calls.entry(entry.key.clone()).or_default();
        *calls = entry.calls.max(*calls);
        self.charges.insert(entry.key.clone(), entry);
    }
}

/// The file and its whole lines. A line that was torn by the end of the process was never
/// answered, and is cut off.
fn read(path: &Path) -> io::Result<(File, String)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    file.set_len(text.len() as u64)?;
    file.sync_all()?;
    Ok((file, text))
}

/// What a charge that has come to an end answers, for ever.
fn told(entry: &Entry) -> Option<Reply> {
    let declined = |code: &str| Reply::Declined { code: code.to_owned(), retryable: simulated::is_retryable(code) };
    match entry.state {
        State::Open => None,
        State::Captured => Some(Reply::Captured(simulated::reference(&entry.key))),
        State::Declined => Some(declined(entry.code.as_deref().unwrap_or("declined"))),
        State::Voided => Some(declined("voided")),
        State::Refunded => Some(declined("refunded")),
    }
}
