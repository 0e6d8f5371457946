//! All states of the lease protocol: three workers, two jobs, and what may go wrong with them.
//!
//! | world | faults | unique states |
//! |---|---|---|
//! | 3 workers × 2 jobs | a pause | 2,099,397 |
//! | 3 workers × 2 jobs | a crash, a wipe | 1,078,504 |
//! | 3 workers × 2 jobs | a crash, a lost answer | 862,660 |
//! | 3 workers × 1 job | a crash, a pause, a wipe, a lost answer | 418,966 |
//! | 2 workers × 1 job, two places each | a pause, a wipe, a lost answer | 1,035,658 |
//!
//! `make model` visits larger worlds (six minutes and a half on two busy cores):
//!
//! | world | faults | unique states |
//! |---|---|---|
//! | 3 workers × 2 jobs | a crash, a pause | 6,243,083 |
//! | 3 workers × 2 jobs | two crashes, a wipe, a lost answer | 5,508,252 |
//! | 3 workers × 2 jobs | a crash, two wipes, a lost answer | 7,876,740 |
//! | 3 workers × 2 jobs | a pause, a wipe | 9,778,858 |
//! | 3 workers × 2 jobs | a pause, a lost answer | 10,359,974 |
//! | 2 workers × 2 jobs | a crash, a pause, a wipe, a lost answer | 10,731,002 |
//! | 3 workers × 1 job | two of each | 7,183,527 |
//! | 2 workers × 1 job, two places each | a crash, two pauses, a wipe, a lost answer | 8,922,897 |
//!
//! So for 3 workers × 2 jobs any two kinds of fault meet; with all four together they are too many states to visit here.

use std::collections::BTreeSet;

use shop_model::properties::{
    BOOKS_AGREE, NO_DEAD_END, NOBODY_ROBBED, ONE_CAPTURE, SETTLED_ONCE, STAYS_FINISHED, STOCK_ONCE,
};
use shop_model::state::{Row, World};
use shop_model::steps::{Action, Reply};
use shop_model::{Bounds, Rules, Shop, progress};
use stateright::{Checker, Expectation, HasDiscoveries, Model};

const CALM: Bounds = Bounds { workers: 3, jobs: 2, places: 1, crashes: 0, pauses: 0, wipes: 0, lost_answers: 0 };

/// Visits all states, finds nothing wrong in any, and gives what was seen on the way.
fn assert_sound(bounds: Bounds, rules: Rules) -> BTreeSet<&'static str> {
    let checker = Shop::new(bounds, rules).checker().threads(2).spawn_dfs().join();
    assert!(checker.is_done());
    println!("{bounds:?}: {} states", checker.unique_state_count());
    for property in checker.model().properties() {
        if property.expectation == Expectation::Always {
            checker.assert_no_discovery(property.name);
        }
    }
    checker.discoveries().into_keys().collect()
}

fn assert_seen(seen: &BTreeSet<&'static str>, examples: &[&str]) {
    for example in examples {
        assert!(seen.contains(example), "never seen: {example}");
    }
}

#[test]
fn a_worker_that_stands_still_and_comes_back_breaks_nothing() {
    let seen = assert_sound(Bounds { pauses: 1, ..CALM }, Rules::KEPT);

    assert_seen(
        &seen,
        &[
            "all is done",
            "one order is paid and the other is not",
            "money has moved and nobody was told",
            "a worker that came back charges a job that is another's now",
            "a job is taken over while its old worker holds it",
        ],
    );
}

#[test]
fn a_crash_and_a_wipe_break_nothing() {
    let seen = assert_sound(Bounds { crashes: 1, wipes: 1, ..CALM }, Rules::KEPT);

    assert_seen(&seen, &["all is done", "the lease of a dead worker is left over"]);
}

#[test]
fn a_crash_and_a_lost_answer_break_nothing() {
    let seen = assert_sound(Bounds { crashes: 1, lost_answers: 1, ..CALM }, Rules::KEPT);

    assert_seen(
        &seen,
        &[
            "a settlement whose answer got lost is handed in again",
            "a row names a worker that does not have it in hand",
        ],
    );
}

#[test]
fn every_fault_together_breaks_nothing_for_one_job() {
    assert_sound(Bounds { jobs: 1, crashes: 1, pauses: 1, wipes: 1, lost_answers: 1, ..CALM }, Rules::KEPT);
}

#[test]
fn a_worker_that_holds_one_job_twice_breaks_nothing() {
    let bounds = Bounds { workers: 2, jobs: 1, places: 2, pauses: 1, wipes: 1, lost_answers: 1, ..CALM };
    assert_sound(bounds, Rules::KEPT);
}

#[test]
fn the_end_is_in_reach_from_everywhere_without_luck() {
    for bounds in [
        Bounds { crashes: 1, ..CALM },
        Bounds { wipes: 1, ..CALM },
        Bounds { lost_answers: 1, ..CALM },
        Bounds { jobs: 1, pauses: 1, wipes: 1, lost_answers: 1, ..CALM },
    ] {
        let progress = progress::explore(&Shop::new(bounds, Rules::KEPT));
        assert!(progress.states > 100_000);
        assert_eq!(progress.stuck.first(), None, "{bounds:?}");
    }
}

#[test]
fn an_emptied_schedule_is_filled_again_and_a_dead_workers_job_is_taken_over() {
    let shop = Shop::new(Bounds { workers: 2, jobs: 1, wipes: 1, crashes: 1, ..CALM }, Rules::KEPT);
    let mut world = shop.init_states().into_iter().next().unwrap();
    let mut go = |wanted: fn(&Action, &World) -> bool| {
        let mut actions = Vec::new();
        shop.actions(&world, &mut actions);
        let steps = actions.into_iter().map(|action| (action, shop.next_state(&world, action).unwrap()));
        world = steps.into_iter().find(|(action, next)| wanted(action, next)).unwrap().1;
        let job = world.jobs.iter().find(|job| job.released == 0).unwrap();
        (job.row, job.on_schedule)
    };

    assert_eq!(go(|action, _| *action == Action::Wipe), (Row::Scheduled, false));
    assert_eq!(go(|action, _| matches!(action, Action::Reconcile { .. })), (Row::Scheduled, true));
    go(|action, _| matches!(action, Action::Claim { .. }));
    assert_eq!(go(|action, _| matches!(action, Action::Take { .. })), (Row::Running, false));
    go(|action, next| matches!(action, Action::Crash { .. }) && next.entries().next().is_none());
    assert_eq!(go(|action, _| matches!(action, Action::ReapStray { .. })), (Row::Running, true));
    go(|action, _| matches!(action, Action::GrowSilent { .. }));
    go(|action, _| matches!(action, Action::Claim { .. }));
    go(|action, next| matches!(action, Action::Take { .. }) && next.entries().next().is_some());
    go(|action, _| matches!(action, Action::Charge { reply: Reply::Captures, .. }));
    assert_eq!(go(|action, _| matches!(action, Action::Settle { .. })), (Row::Completed, false));
}

/// Breaks rules and wants the model to notice.
fn assert_noticed(bounds: Bounds, rules: Rules, property: &'static str) {
    let checker =
        Shop::new(bounds, rules).checker().finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    println!("{property}: broken after {} steps", path.into_actions().len());
}

#[test]
fn a_settlement_without_token_is_noticed() {
    let rules = Rules { settles_by_token: false, ..Rules::KEPT };
    assert_noticed(Bounds { jobs: 1, pauses: 1, ..CALM }, rules, BOOKS_AGREE);
}

#[test]
fn a_settlement_of_a_row_that_does_not_run_is_noticed() {
    let rules = Rules { settles_running_only: false, ..Rules::KEPT };
    for property in [SETTLED_ONCE, STOCK_ONCE] {
        assert_noticed(Bounds { jobs: 1, lost_answers: 1, ..CALM }, rules, property);
    }
}

#[test]
fn a_finished_job_that_is_taken_again_is_noticed() {
    let rules = Rules { refuses_finished: false, ..Rules::KEPT };
    assert_noticed(CALM, rules, STAYS_FINISHED);
}

#[test]
fn a_takeover_from_a_worker_that_is_well_is_noticed() {
    let rules = Rules { asks_heartbeat: false, ..Rules::KEPT };
    assert_noticed(CALM, rules, NOBODY_ROBBED);
}

#[test]
fn a_new_key_after_an_unknown_outcome_is_noticed() {
    let rules = Rules { keeps_unknown_key: false, ..Rules::KEPT };
    assert_noticed(CALM, rules, ONE_CAPTURE);
}

#[test]
fn giving_up_without_a_void_is_noticed() {
    let rules = Rules { voids: false, ..Rules::KEPT };
    assert_noticed(CALM, rules, BOOKS_AGREE);
}

#[test]
fn a_shop_that_does_not_disown_is_noticed() {
    let rules = Rules { disowns: false, ..Rules::KEPT };
    assert_noticed(Bounds { lost_answers: 1, ..CALM }, rules, NO_DEAD_END);
}

#[test]
fn a_shop_that_forgets_due_rows_is_noticed_when_redis_is_wiped() {
    let rules = Rules { reconciles_due: false, ..Rules::KEPT };
    assert_noticed(Bounds { wipes: 1, ..CALM }, rules, NO_DEAD_END);
}

/// Its lease may be reaped, and dropped, while the heartbeat of the dead is still young.
#[test]
fn a_shop_that_forgets_the_rows_of_the_dead_is_noticed_although_it_reaps_leases() {
    let rules = Rules { reconciles_orphans: false, ..Rules::KEPT };
    assert_noticed(Bounds { crashes: 1, ..CALM }, rules, NO_DEAD_END);
}

/// Lease and reconciler mend the same hole: a pop without a lease is seen only where due rows are not looked for.
#[test]
fn a_pop_without_a_lease_is_noticed_where_the_lease_is_the_only_way_back() {
    let bounds = Bounds { crashes: 1, ..CALM };
    let rules = Rules { reconciles_due: false, ..Rules::KEPT };

    assert_sound(bounds, rules);
    assert_sound(bounds, Rules { leases: false, ..Rules::KEPT });
    assert_noticed(bounds, Rules { leases: false, ..rules }, NO_DEAD_END);
}
