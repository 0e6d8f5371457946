//! Room: how many jobs a worker takes, so that neither its gateway nor its memory has too many at a time.
//!
//! A job has a place at the gateway until that has answered, and one in hand until it is settled. So the gateway has the
//! next jobs while PostgreSQL is busy with the last ones, and what waits for PostgreSQL is bounded.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a worker.
pub(super) struct Room {
    at_gateway: Arc<Semaphore>,
    in_hand: Arc<Semaphore>,
}

/// Places for jobs that may come.
pub(super) struct Places {
    at_gateway: OwnedSemaphorePermit,
    in_hand: OwnedSemaphorePermit,
}

/// The place of a job. Whoever claims no more than it has places for, has one for each.
pub(super) struct Place {
    at_gateway: Option<OwnedSemaphorePermit>,
    _in_hand: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// So many places at the gateway, and so many more for jobs that it has answered.
    pub(super) fn new(at_gateway: usize, answered: usize) -> Self {
        let at_gateway = at_gateway.max(1);
        Self {
            at_gateway: Arc::new(Semaphore::new(at_gateway)),
            in_hand: Arc::new(Semaphore::new(at_gateway + answered)),
        }
    }

    /// So many places at most, as soon as there is one. Nothing if nobody may have places any more.
    pub(super) async fn wait(&self, most: usize) -> Option<Places> {
        let in_hand = Arc::clone(&self.in_hand).acquire_owned().await.ok()?;
        let at_gateway = Arc::clone(&self.at_gateway).acquire_owned().await.ok()?;
        let mut places = Places { at_gateway, in_hand };
        if let Some(more) = self.take(most.saturating_sub(1)) {
            places.in_hand.merge(more.in_hand);
            places.at_gateway.merge(more.at_gateway);
        }
        Some(places)
    }

    /// So many places at most, or nothing if there is none.
    pub(super) fn take(&self, most: usize) -> Option<Places> {
        let free = self.at_gateway.available_permits().min(self.in_hand.available_permits()).min(most);
        let free = u32::try_from(free).ok().filter(|free| *free > 0)?;
        Some(Places {
            at_gateway: Arc::clone(&self.at_gateway).try_acquire_many_owned(free).ok()?,
            in_hand: Arc::clone(&self.in_hand).try_acquire_many_owned(free).ok()?,
        })
    }
}

impl Places {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.in_hand.num_permits()
    }

    /// Gives up those that are more than so many.
    pub(super) fn keep(&mut self, count: usize) {
        let surplus = self.len().saturating_sub(count);
        drop((self.at_gateway.split(surplus), self.in_hand.split(surplus)));
    }

    /// One of them.
    pub(super) fn split(&mut self) -> Place {
        Place { at_gateway: self.at_gateway.split(1), _in_hand: self.in_hand.split(1) }
    }
}

impl Place {
    /// The gateway has answered, and another job may go there.
    pub(super) fn answered(&mut self) {
        self.at_gateway = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_answered_makes_room_at_the_gateway_until_too_many_wait_to_be_settled() {
        let room = Room::new(2, 1);
        let mut both = room.take(9).unwrap();
        assert_eq!(both.len(), 2);
        assert!(room.take(9).is_none(), "the gateway is full");

        let (mut first, mut second) = (both.split(), both.split());
        first.answered();
        second.answered();
        let third = room.take(9).unwrap();
        assert_eq!(third.len(), 1, "two places at the gateway, but one in hand");

        drop(first);
        assert_eq!(room.take(9).unwrap().len(), 1, "one is settled");
    }

    #[tokio::test]
    async fn who_waits_has_all_places_that_there_are_and_gives_up_those_that_nobody_comes_for() {
        let room = Room::new(5, 0);
        let mut some = room.wait(4).await.unwrap();
        assert_eq!((some.len(), room.wait(4).await.unwrap().len()), (4, 1));

        some.keep(1);

        assert_eq!((some.len(), room.wait(9).await.unwrap().len()), (1, 4));
    }
}
