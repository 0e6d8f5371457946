//! Every outcome in every state that a refund's job, its order and its payment can be in together, allowed or not.

use super::*;
use crate::id::BootId;

const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300) };
const JOB_STATES: [JobState; 5] =
    [JobState::Scheduled, JobState::Running, JobState::Completed, JobState::Dead, JobState::Cancelled];
const PAYMENT_STATES: [PaymentStatus; 4] =
    [PaymentStatus::Pending, PaymentStatus::Completed, PaymentStatus::Failed, PaymentStatus::Refunded];

fn outcomes() -> [Outcome; 3] {
    [
        Outcome::Refunded,
        Outcome::Unknown { code: "gateway_timeout".to_owned() },
        Outcome::Impossible { reason: "nothing_captured".to_owned() },
    ]
}

fn settlement(row: &Row, outcome: Outcome) -> Settlement {
    Settlement { lease: Lease { job: row.job_id, token: row.token.clone().unwrap() }, outcome, jitter: 0.5 }
}

/// Calls the function with every combination.
fn everywhere(mut check: impl FnMut(&Row, Outcome)) {
    for job_state in JOB_STATES {
        for order_status in OrderStatus::ALL {
            for payment_status in PAYMENT_STATES {
                for done in [false, true] {
                    for outcome in outcomes() {
                        let row = Row {
                            job_id: JobId::new(),
                            job_state,
                            token: Some(Token::new(BootId::new(), 1)),
                            attempts: 0,
                            retries: 40,
                            wait_seconds: 0.0,
                            order_id: OrderId::new(),
                            user_id: UserId::new(),
                            order_status,
                            payment_id: PaymentId::new(),
                            payment_status,
                            amount_minor: Money::from_minor(250).unwrap(),
                            currency: "USD".to_owned().try_into().unwrap(),
                            method: PaymentMethod::default(),
                            restock: true,
                            done,
                        };
                        check(&row, outcome);
                    }
                }
            }
        }
    }
}

#[test]
fn an_order_is_refunded_once_by_a_running_job_of_a_completed_order_whose_money_goes_back_and_never_else() {
    let mut ends = 0;
    everywhere(|row, outcome| {
        let may = row.job_state == JobState::Running
            && row.order_status == OrderStatus::Completed
            && row.payment_status == PaymentStatus::Completed
            && !row.done
            && outcome == Outcome::Refunded;
        assert_eq!(decide(row, &settlement(row, outcome), BACKOFF) == Next::End, may);
        ends += i32::from(may);
    });
    assert_eq!(ends, 1);
}

#[test]
fn only_a_running_job_under_its_token_is_settled() {
    everywhere(|row, outcome| {
        let mut stolen = settlement(row, outcome.clone());
        stolen.lease.token = Token::new(BootId::new(), 1);
        assert_eq!(decide(row, &stolen, BACKOFF), Next::Nothing(Settled::Fenced));

        let next = decide(row, &settlement(row, outcome), BACKOFF);
        assert_eq!(matches!(next, Next::Nothing(_)), row.job_state != JobState::Running);
    });
}

#[test]
fn a_refund_without_an_answer_is_tried_again_however_often_it_was_tried() {
    everywhere(|row, outcome| {
        let unknown = matches!(outcome, Outcome::Unknown { .. });
        let next = decide(row, &settlement(row, outcome), BACKOFF);
        if unknown && row.job_state == JobState::Running {
            assert_eq!(next, Next::Again(Duration::from_secs(225)), "the middle between half of the cap and the cap");
        } else {
            assert!(!matches!(next, Next::Again(_)));
        }
    });
}
