//! Grouping: what comes while a piece of work is in flight goes together in the next one.
//!
//! A transaction costs a fixed number of round trips and one flush to disk, whether it
//! holds one order or sixty. Nobody waits for a group to fill: an idle grouper
//! runs a single member at once, and a busy one groups by itself. Only when a whole group waits does it go beside the one in
//! flight: two halves at a time would cost more than one after the other.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// How much may go together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Members that may wait; more are refused.
    pub queue: usize,
    /// Members of one group, at most.
    pub members: usize,
    /// Weight of one group, at most (a heavier member goes alone).
    pub weight: usize,
    /// Groups in flight at the same time, at most.
    pub lanes: usize,
    /// How long a group is waited for; after that its members are lost and the next group goes.
    pub patience: Duration,
}

/// Why a member got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Too many wait already; nothing was done.
    #[error("too many are waiting")]
    Full,
    /// The work panicked or did not end, or the process is going down; what was done is not known.
    #[error("the group got lost")]
    Lost,
}

struct Member<T, R> {
    work: T,
    answer: oneshot::Sender<R>,
}

/// Where members are handed in. Clones share the queue.
pub struct Grouper<T, R> {
    sender: mpsc::UnboundedSender<Member<T, R>>,
    /// How many members are in no group yet. It bounds the channel.
    waiting: Arc<AtomicUsize>,
    most: usize,
}

impl<T, R> Clone for Grouper<T, R> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), waiting: Arc::clone(&self.waiting), most: self.most }
    }
}

impl<T: Send + 'static, R: Send + 'static> Grouper<T, R> {
    /// Starts the task that forms the groups.
    ///
    /// `run` answers each member at its place. It runs in a task of its own that
    /// nobody cancels: a client who hangs up does not cut a transaction short.
    pub fn spawn<Run, Running>(limits: Limits, weigh: fn(&T) -> usize, run: Run) -> Self
    where
        Run: Fn(Vec<T>) -> Running + Send + 'static,
        Running: Future<Output = Vec<R>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let (waiting, most) = (Arc::new(AtomicUsize::new(0)), limits.queue.max(1));
        let left = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut next = Next { members: VecDeque::new(), weight: 0, limits, weigh };
            let mut in_flight = JoinSet::new();
            let mut open = true;
            while open || !next.members.is_empty() {
                while !next.is_whole()
                    && let Ok(member) = receiver.try_recv()
                {
                    next.add(member);
                }
                let beside = next.is_whole() && in_flight.len() < limits.lanes;
                if !next.members.is_empty() && (in_flight.is_empty() || beside) {
                    let group = next.take();
                    left.fetch_sub(group.len(), Ordering::Relaxed);
                    let (work, answers) = group.into_iter().map(|member| (member.work, member.answer)).unzip();
                    let running = timeout(limits.patience, tokio::spawn(run(work)));
                    in_flight.spawn(async move { answer(answers, running.await) });
                    continue;
                }
                tokio::select! {
                    Some(_) = in_flight.join_next() => {}
                    member = receiver.recv(), if open && !next.is_whole() => match member {
                        Some(member) => next.add(member),
                        None => open = false,
                    },
                }
            }
            while in_flight.join_next().await.is_some() {}
        });
        Self { sender, waiting, most }
    }

    /// How many members wait for the next group, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.waiting.load(Ordering::Relaxed).min(self.most), self.most)
    }

    /// Hands in a member and waits for its answer.
    ///
    /// # Errors
    /// When too many wait already, or the group got lost.
    pub async fn submit(&self, work: T) -> Result<R, GroupError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(GroupError::Full);
        }
        let (answer, answered) = oneshot::channel();
        self.sender.send(Member { work, answer }).map_err(|_| GroupError::Lost)?;
        answered.await.map_err(|_| GroupError::Lost)
    }
}

/// The members of the next group, and perhaps the first one of the group after it.
struct Next<T, R> {
    members: VecDeque<Member<T, R>>,
    weight: usize,
    limits: Limits,
    weigh: fn(&T) -> usize,
}

impl<T, R> Next<T, R> {
    fn add(&mut self, member: Member<T, R>) {
        self.weight += (self.weigh)(&member.work);
        self.members.push_back(member);
    }

    /// Whether nobody else fits in.
    fn is_whole(&self) -> bool {
        self.members.len() >= self.limits.members || self.weight > self.limits.weight
    }

    /// The next group.
    fn take(&mut self) -> Vec<Member<T, R>> {
        let (mut group, mut weight) = (Vec::new(), 0);
        while let Some(member) = self.members.front() {
            let more = (self.weigh)(&member.work);
            let fits = group.len() < self.limits.members && weight + more <= self.limits.weight;
            if !group.is_empty() && !fits {
                break;
            }
            weight += more;
            group.extend(self.members.pop_front());
        }
        self.weight -= weight;
        group
    }
}

/// Gives each member its answer, if the group came to an end.
fn answer<R>(answers: Vec<oneshot::Sender<R>>, ended: Result<Result<Vec<R>, JoinError>, Elapsed>) {
    match ended {
        Ok(Ok(results)) => {
            for (answer, result) in answers.into_iter().zip(results) {
                // A member that no longer listens has hung up; its work is done all the same.
                let _ = answer.send(result);
            }
        }
        Ok(Err(error)) => tracing::error!(%error, "a group ended without answers"),
        Err(_) => tracing::error!("a group does not end, going on without it"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;

    use super::*;

    const LIMITS: Limits = Limits { queue: 16, members: 4, weight: 10, lanes: 1, patience: Duration::from_secs(60) };

    type Ran = Arc<Mutex<Vec<Vec<usize>>>>;

    /// A grouper whose groups wait for a permit each, and the groups it ran.
    fn gated() -> (Grouper<usize, usize>, Arc<Semaphore>, Ran) {
        gated_with(LIMITS)
    }

    fn gated_with(limits: Limits) -> (Grouper<usize, usize>, Arc<Semaphore>, Ran) {
        let gate = Arc::new(Semaphore::new(0));
        let groups = Arc::new(Mutex::new(Vec::new()));
        let (opened, seen) = (Arc::clone(&gate), Arc::clone(&groups));
        let grouper = Grouper::spawn(
            limits,
            |weight| *weight,
            move |work: Vec<usize>| {
                let (gate, groups) = (Arc::clone(&opened), Arc::clone(&seen));
                async move {
                    groups.lock().unwrap().push(work.clone());
                    gate.acquire().await.unwrap().forget();
                    work.into_iter().map(|n| n * 10).collect()
                }
            },
        );
        (grouper, gate, groups)
    }

    async fn hand_in(
        grouper: &Grouper<usize, usize>,
        work: &[usize],
    ) -> Vec<tokio::task::JoinHandle<Result<usize, GroupError>>> {
        let mut waiting = Vec::new();
        for &work in work {
            let grouper = grouper.clone();
            waiting.push(tokio::spawn(async move { grouper.submit(work).await }));
            tokio::task::yield_now().await;
        }
        waiting
    }

    #[tokio::test]
    async fn what_comes_during_a_group_goes_together_in_the_next_and_each_gets_its_own_answer() {
        let (grouper, gate, groups) = gated();

        let waiting = hand_in(&grouper, &[1, 2, 3, 4]).await;
        gate.add_permits(2);

        for (n, answer) in waiting.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), Ok((n + 1) * 10));
        }
        assert_eq!(*groups.lock().unwrap(), [vec![1], vec![2, 3, 4]]);
    }

    #[tokio::test]
    async fn a_second_group_goes_beside_the_first_only_when_it_is_whole() {
        let (grouper, gate, groups) = gated_with(Limits { lanes: 2, weight: 100, ..LIMITS });

        let mut waiting = hand_in(&grouper, &[1, 2, 3, 4]).await;
        assert_eq!(*groups.lock().unwrap(), [vec![1]]);
        waiting.extend(hand_in(&grouper, &[5]).await);
        assert_eq!(*groups.lock().unwrap(), [vec![1], vec![2, 3, 4, 5]]);
        waiting.extend(hand_in(&grouper, &[6, 7, 8, 9]).await);
        assert_eq!(groups.lock().unwrap().len(), 2, "there are two lanes only");

        gate.add_permits(3);
        for (n, answer) in waiting.into_iter().enumerate() {
            assert_eq!(answer.await.unwrap(), Ok((n + 1) * 10));
        }
        assert_eq!(groups.lock().unwrap()[2], [6, 7, 8, 9]);
    }

    #[tokio::test]
    async fn a_group_stops_at_its_weight_and_the_next_member_opens_another() {
        let (grouper, gate, groups) = gated();

        let waiting = hand_in(&grouper, &[1, 6, 6, 99]).await;
        gate.add_permits(4);

        for answer in waiting {
            answer.await.unwrap().unwrap();
        }
        assert_eq!(*groups.lock().unwrap(), [vec![1], vec![6], vec![6], vec![99]]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let (grouper, gate, _) = gated();

        let waiting = hand_in(&grouper, &[1; LIMITS.queue + 1]).await;
        assert_eq!(grouper.submit(1).await, Err(GroupError::Full));

        gate.add_permits(waiting.len());
        for answer in waiting {
            answer.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_group_that_does_not_end_is_lost_and_the_next_one_goes() {
        let limits = Limits { patience: Duration::from_millis(1), ..LIMITS };
        let grouper = Grouper::spawn(
            limits,
            |_| 1,
            |work: Vec<usize>| async move {
                if work == [13] {
                    std::future::pending::<()>().await;
                }
                work
            },
        );

        assert_eq!(grouper.submit(13).await, Err(GroupError::Lost));
        assert_eq!(grouper.submit(1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_panic_loses_its_own_group_only() {
        let grouper = Grouper::spawn(
            LIMITS,
            |_| 1,
            |work: Vec<usize>| async move {
                assert_ne!(work, [13]);
                work
            },
        );

        assert_eq!(grouper.submit(13).await, Err(GroupError::Lost));
        assert_eq!(grouper.submit(1).await, Ok(1));
    }
}
