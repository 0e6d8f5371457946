//! The hub: which users have sockets here, and waking these up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shop_common::id::UserId;
use tokio::sync::watch;

/// Sockets of one user in one process; each namespace of Socket.IO counts as one.
pub(crate) const SOCKETS_PER_USER: usize = 20;

/// Which users have sockets in this process. Clones are the same hub.
#[derive(Clone, Default)]
pub(crate) struct Hub(Arc<Mutex<HashMap<UserId, watch::Sender<()>>>>);

/// A socket's place in the hub, until it is dropped.
pub(crate) struct Seat {
    hub: Hub,
    user: UserId,
    news: watch::Receiver<()>,
}

impl Hub {
    /// Gives a socket of that user a place, unless the user has so many already.
    pub(crate) fn join(&self, user: UserId) -> Option<Seat> {
        let mut users = self.lock();
        let sender = users.entry(user).or_insert_with(|| watch::Sender::new(()));
        if sender.receiver_count() >= SOCKETS_PER_USER {
            return None;
        }
        Some(Seat { hub: self.clone(), user, news: sender.subscribe() })
    }

    /// Wakes the sockets of these users up. Several wake-ups of a busy socket are one.
    pub(crate) fn wake(&self, users: impl IntoIterator<Item = UserId>) {
        let watched = self.lock();
        for user in users {
            if let Some(sender) = watched.get(&user) {
                sender.send_replace(());
            }
        }
    }

    /// Who has sockets here.
    pub(crate) fn users(&self) -> Vec<UserId> {
        self.lock().keys().copied().collect()
    }

    /// A panic elsewhere leaves a map that is still a map.
    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Waits until there may be news.
    pub(crate) async fn news(&mut self) {
        // The sender lives as long as there is a seat.
        if self.news.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut users = self.hub.lock();
        if users.get(&self.user).is_some_and(|sender| sender.receiver_count() <= 1) {
            users.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_sockets_of_a_user_hear_of_news_and_nobody_else_does() {
        let hub = Hub::default();
        let (ada, bob) = (UserId::new(), UserId::new());
        let mut adas = [hub.join(ada).unwrap(), hub.join(ada).unwrap()];
        let bobs = hub.join(bob).unwrap();

        hub.wake([ada, UserId::new()]);

        for seat in &mut adas {
            seat.news().await;
        }
        assert!(!bobs.news.has_changed().unwrap());
    }

    #[test]
    fn a_user_has_so_many_places_and_a_left_one_is_free_again() {
        let hub = Hub::default();
        let ada = UserId::new();
        let seats: Vec<_> = (0..SOCKETS_PER_USER).map(|_| hub.join(ada).unwrap()).collect();
        assert!(hub.join(ada).is_none());

        drop(seats);

        assert!(hub.users().is_empty());
        assert!(hub.join(ada).is_some());
    }
}
