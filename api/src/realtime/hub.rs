//! The hub: which users have sockets here, and handing them their news.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shop_common::id::UserId;
use shop_common::orders::news::News;
use tokio::sync::{Notify, broadcast};

/// News that wait for a socket. One that has not taken them when there are more reads the table.
const WAITING: usize = 8;

/// What a socket hears.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// Something happened.
    News(Arc<News>),
    /// There may be something in the tables that was not told.
    Look,
}

/// Which users have sockets in this process. Clones are the same hub.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Inner>);

struct Inner {
    sockets_per_user: usize,
    users: Mutex<Users>,
    /// Somebody who is connected has unread news.
    unread: Notify,
}

#[derive(Default)]
struct Users {
    channels: HashMap<UserId, Channel>,
    /// Of whom it was said that they have news that nobody has read yet.
    unread: HashSet<UserId>,
}

/// What all sockets of a user listen to.
struct Channel {
    sender: broadcast::Sender<Signal>,
    sockets: usize,
    /// The number of the last event that was handed out; none before the first socket has begun.
    position: Option<i64>,
}

/// A socket's place in the hub, until it is dropped.
pub(crate) struct Seat {
    hub: Hub,
    user: UserId,
    signals: broadcast::Receiver<Signal>,
}

impl Hub {
    /// A hub that gives each user so many places; each namespace of Socket.IO takes one.
    pub(crate) fn new(sockets_per_user: usize) -> Self {
        Self(Arc::new(Inner { sockets_per_user, users: Mutex::default(), unread: Notify::new() }))
    }

    /// Gives a socket of that user a place, or says how many the user has already.
    pub(crate) fn join(&self, user: UserId) -> Result<Seat, usize> {
        let most = self.0.sockets_per_user;
        let mut users = self.lock();
        let channel = users.channels.entry(user).or_insert_with(|| Channel {
            sender: broadcast::Sender::new(WAITING),
            sockets: 0,
            position: None,
        });
        if channel.sockets >= most {
            return Err(most);
        }
        channel.sockets += 1;
        Ok(Seat { hub: self.clone(), user, signals: channel.sender.subscribe() })
    }

    /// Notes that these users have news; those who are connected here are read soon.
    pub(crate) fn note(&self, noted: impl IntoIterator<Item = UserId>) {
        let Users { channels, unread } = &mut *self.lock();
        unread.extend(noted.into_iter().filter(|user| channels.contains_key(user)));
        if !unread.is_empty() {
            self.0.unread.notify_one();
        }
    }

    /// Waits until a connected user has unread news.
    pub(crate) async fn noted(&self) {
        self.0.unread.notified().await;
    }

    /// Up to so many users with unread news, and the number after which these begin. They count as read.
    pub(crate) fn unread(&self, limit: usize) -> Vec<(UserId, i64)> {
        let Users { channels, unread } = &mut *self.lock();
        let batch: Vec<UserId> = unread.iter().copied().take(limit).collect();
        for user in &batch {
            unread.remove(user);
        }
        if !unread.is_empty() {
            self.0.unread.notify_one();
        }
        let position = |user: UserId| Some((user, channels.get(&user)?.position?));
        batch.into_iter().filter_map(position).collect()
    }

    /// Hands news to the sockets of their owners.
    pub(crate) fn hand_out(&self, news: Vec<News>) {
        let mut users = self.lock();
        for news in news {
            let Some(channel) = users.channels.get_mut(&news.user) else { continue };
            if channel.position.is_some_and(|position| position < news.seq) {
                channel.position = Some(news.seq);
                // Without a socket there is nobody to tell.
                let _ = channel.sender.send(Signal::News(Arc::new(news)));
            }
        }
    }

    /// Makes all sockets of these users look at the tables.
    pub(crate) fn wake(&self, woken: impl IntoIterator<Item = UserId>) {
        let users = self.lock();
        for channel in woken.into_iter().filter_map(|user| users.channels.get(&user)) {
            let _ = channel.sender.send(Signal::Look);
        }
    }

    /// Compares what was handed out with numbers of the books: notes who was not told of something, and gives
    /// those who were told of more.
    pub(crate) fn compare(&self, numbers: &[(UserId, i64)]) -> Vec<UserId> {
        let (mut behind, mut ahead) = (Vec::new(), Vec::new());
        let users = self.lock();
        for (user, number) in numbers {
            match users.channels.get(user).and_then(|channel| channel.position) {
                Some(position) if position < *number => behind.push(*user),
                Some(position) if position > *number => ahead.push(*user),
                _ => {}
            }
        }
        drop(users);
        self.note(behind);
        ahead
    }

    /// The last number of a user's books. If more was handed out, these are other books, and all begin from there.
    pub(crate) fn set_back(&self, user: UserId, last: i64) {
        if let Some(channel) = self.lock().channels.get_mut(&user)
            && channel.position > Some(last)
        {
            channel.position = Some(last);
            let _ = channel.sender.send(Signal::Look);
        }
    }

    /// A panic elsewhere leaves a map that is still a map.
    fn lock(&self) -> MutexGuard<'_, Users> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Says after which number this socket begins. What comes after it is handed out from now on.
    pub(crate) fn begin(&self, position: i64) {
        if let Some(channel) = self.hub.lock().channels.get_mut(&self.user) {
            channel.position.get_or_insert(position);
        }
    }

    /// Waits for the next signal. Who was too slow for some has to look at the table.
    pub(crate) async fn signal(&mut self) -> Signal {
        // The sender lives as long as there is a seat, so it is never closed.
        self.signals.recv().await.unwrap_or(Signal::Look)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let users = &mut *self.hub.lock();
        let Some(channel) = users.channels.get_mut(&self.user) else { return };
        channel.sockets -= 1;
        if channel.sockets == 0 {
            users.channels.remove(&self.user);
            users.unread.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use shop_common::events::EventKind;
    use shop_common::id::OrderId;

    use super::*;

    fn news(user: UserId, seq: i64) -> News {
        let (kind, order, at) = (EventKind::OrderStatus, OrderId::new(), chrono::Utc::now());
        News { user, seq, kind, order, at, data: Box::default() }
    }

    async fn hears(seat: &mut Seat) -> Option<i64> {
        match seat.signal().await {
            Signal::News(news) => Some(news.seq),
            Signal::Look => None,
        }
    }

    #[tokio::test]
    async fn all_sockets_of_a_user_hear_of_news_once_and_nobody_else_does() {
        let hub = Hub::new(20);
        let (ada, bob) = (UserId::new(), UserId::new());
        let mut adas = [hub.join(ada).ok().unwrap(), hub.join(ada).ok().unwrap()];
        let bobs = hub.join(bob).ok().unwrap();
        for seat in [&adas[0], &adas[1], &bobs] {
            seat.begin(6);
        }

        hub.note([ada, UserId::new()]);
        hub.noted().await;
        assert_eq!(hub.unread(10), [(ada, 6)]);
        hub.hand_out(vec![news(ada, 7)]);
        hub.hand_out(vec![news(ada, 7), news(ada, 8)]);

        for seat in &mut adas {
            assert_eq!((hears(seat).await, hears(seat).await), (Some(7), Some(8)));
        }
        assert!(bobs.signals.is_empty());
        assert_eq!(hub.unread(10), []);
    }

    #[tokio::test]
    async fn who_is_too_slow_is_made_to_look_at_the_table_and_costs_no_memory() {
        let hub = Hub::new(20);
        let ada = UserId::new();
        let mut seat = hub.join(ada).ok().unwrap();
        seat.begin(0);

        hub.hand_out((1..=100).map(|seq| news(ada, seq)).collect());

        assert_eq!(seat.signals.len(), 100);
        assert_eq!(hears(&mut seat).await, None);
        assert_eq!(seat.signals.len(), WAITING);
    }

    #[tokio::test]
    async fn who_was_not_told_is_read_and_who_was_told_of_other_books_begins_afresh() {
        let hub = Hub::new(20);
        let (ada, bob, eve) = (UserId::new(), UserId::new(), UserId::new());
        let mut seats = [ada, bob, eve].map(|user| hub.join(user).ok().unwrap());
        for seat in &seats {
            seat.begin(6);
        }

        assert_eq!(hub.compare(&[(ada, 7), (bob, 5), (eve, 6), (UserId::new(), 9)]), [bob]);

        assert_eq!(hub.unread(10), [(ada, 6)]);
        hub.set_back(bob, 6);
        hub.set_back(eve, 2);
        assert_eq!(hears(&mut seats[2]).await, None);
        hub.note([bob, eve]);
        assert_eq!(hub.unread(10).into_iter().collect::<HashMap<_, _>>(), HashMap::from([(bob, 6), (eve, 2)]));
        assert!(seats[1].signals.is_empty());
    }

    #[test]
    fn a_user_has_so_many_places_and_a_left_one_is_free_again() {
        let hub = Hub::new(3);
        let ada = UserId::new();
        let seats: Vec<_> = (0..3).map(|_| hub.join(ada).ok().unwrap()).collect();
        assert_eq!(hub.join(ada).err(), Some(3));
        seats[0].begin(0);
        hub.note([ada]);

        drop(seats);

        assert!(hub.unread(10).is_empty());
        assert!(hub.join(ada).is_ok());
    }
}
