//! Every outcome in every state that a job, its order and its payment can be in together, allowed or not.

use super::*;
use crate::id::BootId;
use crate::jobs::retry::Backoff;

const MAX_ATTEMPTS: i32 = 3;
const JOB_STATES: [JobState; 5] =
    [JobState::Scheduled, JobState::Running, JobState::Completed, JobState::Dead, JobState::Cancelled];
const PAYMENT_STATES: [PaymentStatus; 4] =
    [PaymentStatus::Pending, PaymentStatus::Completed, PaymentStatus::Failed, PaymentStatus::Refunded];

/// Where a job, its order and its payment are.
type States = (JobState, OrderStatus, PaymentStatus);

fn outcomes() -> Vec<Outcome> {
    let code = || "code".to_owned();
    vec![
        Outcome::Approved { reference: "ch_1".to_owned() },
        Outcome::Declined { code: code(), retryable: false },
        Outcome::Declined { code: code(), retryable: true },
        Outcome::Transient { code: code() },
        Outcome::Unknown { code: code() },
        Outcome::Voided { code: code() },
    ]
}

fn policy() -> Policy {
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300) };
    Policy { backoff, max_attempts: MAX_ATTEMPTS }
}

fn row((job_state, order_status, payment_status): States, attempts: i32) -> Row {
    Row {
        job_id: JobId::new(),
        job_state,
        token: Some(Token::new(BootId::new(), 1)),
        attempts,
        retries: attempts,
        claims: attempts + 1,
        wait_seconds: 0.0,
        order_id: OrderId::new(),
        user_id: UserId::new(),
        order_status,
        payment_id: PaymentId::new(),
        payment_status,
        charge_no: 1,
        amount_minor: Money::from_minor(250).unwrap(),
        currency: "USD".to_owned().try_into().unwrap(),
        method: PaymentMethod::default(),
        now: Timestamp::default(),
    }
}

fn settlement(row: &Row, outcome: Outcome) -> Settlement {
    let lease = Lease { job: row.job_id, token: row.token.clone().unwrap() };
    Settlement { lease, key: ChargeKey::new(row.payment_id, row.charge_no), outcome, jitter: 0.5 }
}

/// Calls the function with every combination.
fn everywhere(mut check: impl FnMut(States, &Row, Outcome)) {
    for job in JOB_STATES {
        for order in OrderStatus::ALL {
            for payment in PAYMENT_STATES {
                for attempts in 0..=MAX_ATTEMPTS {
                    for outcome in outcomes() {
                        check((job, order, payment), &row((job, order, payment), attempts), outcome);
                    }
                }
            }
        }
    }
}

/// Where they are after a settlement.
fn after(states: States, changes: &Changes) -> States {
    let (job, order, payment) = states;
    (
        changes.jobs.first().map_or(job, |change| change.state),
        changes.orders.first().map_or(order, |(_, status)| *status),
        changes.payments.first().map_or(payment, |change| change.status),
    )
}

#[test]
fn a_settlement_makes_no_move_that_the_states_do_not_allow() {
    everywhere(|states, row, outcome| {
        let mut changes = Changes::default();
        changes.add(row, &settlement(row, outcome), policy());

        let next = after(states, &changes);
        assert!(
            next.0 == states.0 || states.0 == JobState::Running && next.0 != JobState::Cancelled,
            "{states:?} {next:?}"
        );
        assert!(next.1 == states.1 || states.1.can_become(next.1), "{states:?} {next:?}");
        assert!(next.2 == states.2 || states.2.can_become(next.2), "{states:?} {next:?}");
    });
}

#[test]
fn stock_is_released_when_an_order_fails_now_and_never_else() {
    everywhere(|states, row, outcome| {
        let conclusive = matches!(outcome, Outcome::Declined { .. } | Outcome::Voided { .. });
        let mut changes = Changes::default();
        changes.add(row, &settlement(row, outcome), policy());

        let fails = after(states, &changes).1 == OrderStatus::Failed && states.1 != OrderStatus::Failed;
        assert_eq!(changes.released.len(), usize::from(fails));
        assert!(!fails || conclusive);
    });
}

#[test]
fn only_a_running_job_under_its_token_is_settled() {
    everywhere(|states, row, outcome| {
        let mut stolen = settlement(row, outcome.clone());
        stolen.lease.token = Token::new(BootId::new(), 1);
        let mut changes = Changes::default();

        assert_eq!(changes.add(row, &stolen, policy()), Settled::Fenced);
        if states.0 != JobState::Running {
            changes.add(row, &settlement(row, outcome), policy());
        }

        let written = changes.jobs.len() + changes.orders.len() + changes.payments.len() + changes.attempts.len();
        assert_eq!(written + changes.released.len() + changes.events.len(), 0);
    });
}

#[test]
fn the_key_moves_on_only_after_a_decline_that_may_be_retried_and_is_closed_only_by_a_conclusive_outcome() {
    everywhere(|_, row, outcome| {
        let mut changes = Changes::default();
        changes.add(row, &settlement(row, outcome.clone()), policy());

        for payment in &changes.payments {
            let declined = matches!(outcome, Outcome::Declined { retryable: true, .. });
            let open = matches!(outcome, Outcome::Transient { .. } | Outcome::Unknown { .. });
            assert!(payment.charge_no == row.charge_no || declined && payment.charge_no == row.charge_no + 1);
            assert_eq!(payment.close, !open);
        }
    });
}

/// From a claimed job on, whatever comes: job, order and payment end together or not at all.
#[test]
fn job_order_and_payment_agree_in_every_state_that_can_be_reached() {
    let running: States = (JobState::Running, OrderStatus::Processing, PaymentStatus::Pending);
    let (mut reached, mut open) = (vec![running], vec![running]);
    while let Some(states) = open.pop() {
        for attempts in 0..=MAX_ATTEMPTS {
            for outcome in outcomes() {
                let row = row(states, attempts);
                let mut changes = Changes::default();
                changes.add(&row, &settlement(&row, outcome), policy());
                let next = match after(states, &changes) {
                    // The next claim.
                    (JobState::Scheduled, order, payment) => (JobState::Running, order, payment),
                    other => other,
                };
                if !reached.contains(&next) {
                    reached.push(next);
                    open.push(next);
                }
            }
        }
    }

    assert_eq!(reached.len(), 3);
    assert!(reached.contains(&(JobState::Completed, OrderStatus::Completed, PaymentStatus::Completed)));
    assert!(reached.contains(&(JobState::Dead, OrderStatus::Failed, PaymentStatus::Failed)));
}
