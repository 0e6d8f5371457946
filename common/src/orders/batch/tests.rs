//! A group decides as if its orders had come one at a time, each with what its key knows.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::shelf::tests::{cart, shelf};
use super::*;
use crate::id::ProductId;
use crate::payments::PaymentMethod;

/// What an order's key knows before the group: nothing, or one of the ways in which it was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Fresh,
    InFlight,
    SameRequest,
    OtherRequest,
}

fn terms() -> Terms {
    // Every answer is another one, so that a replay is told from a second decision.
    let render = |decision: &Decision| match decision {
        Decision::Placed(order) => Answer { status: 201, body: order.id.to_string().into_bytes().into() },
        Decision::Refused(_) => Answer { status: 422, body: OrderId::new().to_string().into_bytes().into() },
    };
    Terms { currency: "USD".to_owned().try_into().unwrap(), render }
}

fn order(customer: UserId, product: ProductId, pieces: i64, key: Option<usize>) -> NewOrder {
    NewOrder {
        customer,
        lines: cart(&[(product, pieces)]),
        payment_method: PaymentMethod::default(),
        key: key.map(|key| format!("key-{key}").parse().unwrap()),
        request_id: None,
        trace: None,
    }
}

proptest! {
    #[test]
    fn a_key_decides_once_and_what_is_replayed_or_turned_away_takes_nothing(
        stock in 0..30_i64,
        known in prop::collection::vec(
            prop::sample::select(vec![Known::Fresh, Known::Fresh, Known::InFlight, Known::SameRequest, Known::OtherRequest]), 3),
        asked in prop::collection::vec((prop::option::of(0..3_usize), 1..4_i64), 1..20),
    ) {
        let (mut shelf, ids) = shelf(&[stock]);
        let (customer, terms) = (UserId::new(), terms());
        let old = Answer { status: 201, body: Arc::from(*b"old") };
        let mut batch = Batch::default();
        let mut first: [Option<(i64, Answer)>; 3] = [const { None }; 3];
        let mut left = stock;

        for (key, pieces) in asked {
            let state = key.map(|key| match known[key] {
                Known::Fresh => KeyState::Fresh,
                Known::InFlight => KeyState::InFlight,
                Known::SameRequest => KeyState::Answered { same_request: true, answer: old.clone() },
                Known::OtherRequest => KeyState::Answered { same_request: false, answer: old.clone() },
            });
            batch.add(&order(customer, ids[0], pieces, key), state, &mut shelf, &terms);
            let verdict = batch.verdicts.last().unwrap();

            let decides = match key.map(|key| (known[key], &first[key])) {
                None | Some((Known::Fresh, None)) => true,
                Some((Known::InFlight, _)) => {
                    prop_assert!(matches!(verdict, Verdict::KeyInFlight));
                    false
                }
                Some((Known::OtherRequest, _)) => {
                    prop_assert!(matches!(verdict, Verdict::KeyReused));
                    false
                }
                Some((Known::SameRequest, _)) => {
                    prop_assert!(matches!(verdict, Verdict::Answered(placed) if placed.replayed && placed.answer == old));
                    false
                }
                Some((Known::Fresh, Some((same, answer)))) if *same == pieces => {
                    prop_assert!(matches!(verdict, Verdict::Answered(placed) if placed.replayed && placed.answer == *answer));
                    false
                }
                Some((Known::Fresh, Some(_))) => {
                    prop_assert!(matches!(verdict, Verdict::KeyReused));
                    false
                }
            };
            if decides {
                let Verdict::Answered(placed) = verdict else { return Err(TestCaseError::fail("no answer")) };
                prop_assert!(!placed.replayed);
                prop_assert_eq!(placed.answer.status, if pieces <= left { 201 } else { 422 });
                left -= if pieces <= left { pieces } else { 0 };
                if let Some(key) = key {
                    first[key] = Some((pieces, placed.answer.clone()));
                }
            }
        }

        let accepted: i64 = batch.placed.iter().flat_map(|(order, _, _)| &order.order_items).map(|item| item.quantity).sum();
        prop_assert_eq!(accepted, stock - left);
        prop_assert_eq!(shelf.taken.values().sum::<i64>(), accepted);
        prop_assert_eq!((batch.payments.len(), batch.jobs.len()), (batch.placed.len(), batch.placed.len()));
        prop_assert_eq!(batch.events.len(), batch.placed.len());
        prop_assert_eq!(batch.kept.len(), first.iter().flatten().count());
    }
}
