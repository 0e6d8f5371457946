//! What this worker has in hand: every lease from before its claim until after its settlement.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shop_common::jobs::Token;
use shop_common::jobs::queue::Lease;

/// The leases in hand, by token.
#[derive(Default)]
pub struct InHand(Mutex<HashMap<Token, Lease>>);

impl InHand {
    /// Takes leases in hand.
    pub fn take(&self, leases: &[Lease]) {
        self.lock().extend(leases.iter().map(|lease| (lease.token.clone(), lease.clone())));
    }

    /// Lets leases go.
    pub fn drop(&self, leases: &[Lease]) {
        let mut in_hand = self.lock();
        for lease in leases {
            in_hand.remove(&lease.token);
        }
    }

    /// All of them.
    pub fn leases(&self) -> Vec<Lease> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic elsewhere leaves a map that is still a map.
    fn lock(&self) -> MutexGuard<'_, HashMap<Token, Lease>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
