//! What must hold in every state, and what must be seen in some.

use stateright::{Model, Property};

use crate::Shop;
use crate::state::{Charge, Life, Row, Step, World};

/// No payment has two captured charges.
pub const ONE_CAPTURE: &str = "at most one captured charge per payment";
/// COMPLETED means one capture, FAILED means none and that none is on its way.
pub const BOOKS_AGREE: &str = "completed if and only if captured";
/// A failed order has given its stock back once, any other never.
pub const STOCK_ONCE: &str = "stock is given back once, by a failed order only";
/// An outcome is for good.
pub const STAYS_FINISHED: &str = "a finished job stays as it is";
/// The settlement of a claim is applied once.
pub const SETTLED_ONCE: &str = "a claim is settled at most once";
/// Only silence costs a worker its job.
pub const NOBODY_ROBBED: &str = "a job is not taken from a worker that is well";
/// As long as a worker lives, there is a way on.
pub const NO_DEAD_END: &str = "nothing stands still short of the end";

/// All properties.
pub(crate) fn all() -> Vec<Property<Shop>> {
    vec![
        Property::always(ONE_CAPTURE, |_, world: &World| world.jobs.iter().all(|job| job.captures() <= 1)),
        Property::always(BOOKS_AGREE, |_, world: &World| {
            world.jobs.iter().all(|job| match job.row {
                Row::Completed => job.captures() == 1,
                Row::Dead => !job.charges.iter().any(|c| matches!(c, Charge::Captured | Charge::Flying)),
                Row::Scheduled | Row::Running => true,
            })
        }),
        Property::always(STOCK_ONCE, |_, world: &World| {
            world.jobs.iter().all(|job| job.released == u8::from(job.row == Row::Dead))
        }),
        Property::always(STAYS_FINISHED, |_, world: &World| !world.wrongs.reopened),
        Property::always(SETTLED_ONCE, |_, world: &World| !world.wrongs.settled_twice),
        Property::always(NOBODY_ROBBED, |_, world: &World| !world.wrongs.robbed),
        Property::always(NO_DEAD_END, |shop: &Shop, world: &World| {
            let anybody = world.workers.iter().any(|worker| worker.life == Life::Awake);
            world.is_done() || !anybody || {
                let mut actions = Vec::new();
                shop.actions(world, &mut actions);
                actions.iter().any(|action| !action.is_chance())
            }
        }),
        Property::sometimes("all is done", |_, world: &World| world.is_done()),
        Property::sometimes("one order is paid and the other is not", |_, world: &World| {
            let ends = |row| world.jobs.iter().any(|job| job.row == row);
            ends(Row::Completed) && ends(Row::Dead)
        }),
        Property::sometimes("a worker that came back charges a job that is another's now", |_, world: &World| {
            world.entries().any(|(worker, entry)| {
                worker.life == Life::Awake && matches!(entry.step, Step::Taken(_)) && !entry.current
            })
        }),
        Property::sometimes("a job is taken over while its old worker holds it", |_, world: &World| {
            world.entries().any(|(_, old)| {
                let heir = |new: &(_, &crate::state::Entry)| new.1.job == old.job && new.1.current;
                matches!(old.step, Step::Taken(_)) && !old.current && world.entries().any(|new| heir(&new))
            })
        }),
        Property::sometimes("the lease of a dead worker is left over", |_, world: &World| {
            world.jobs.iter().any(|job| job.stray_lease)
        }),
        Property::sometimes("a settlement whose answer got lost is handed in again", |_, world: &World| {
            world.entries().any(|(_, entry)| entry.settled && matches!(entry.step, Step::Charged(..)))
        }),
        Property::sometimes("a row names a worker that does not have it in hand", |_, world: &World| {
            world.workers.iter().any(|worker| {
                worker.is_well()
                    && (0..world.jobs.len())
                        .any(|job| worker.owns[job] && !worker.hand.iter().flatten().any(|e| e.job == job && e.current))
            })
        }),
        Property::sometimes("money has moved and nobody was told", |_, world: &World| {
            world.jobs.iter().any(|job| job.row == Row::Scheduled && job.captures() == 1)
        }),
    ]
}
