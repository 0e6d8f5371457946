//! Who orders next: the earliest invoice whose lane is free, so that one customer's invoices stay in order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// The invoices still to be placed, in lanes; at most one of a lane is out at any time.
#[derive(Debug, Default)]
pub(crate) struct Lineup {
    lanes: Vec<VecDeque<usize>>,
    /// The head of every lane that is free, earliest on top.
    heads: BinaryHeap<Reverse<(usize, usize)>>,
}

/// An invoice that is out, and the lane it came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) invoice: usize,
    lane: usize,
}

impl Lineup {
    /// Takes lanes of invoices, each by position in the export and in that order.
    pub(crate) fn new(lanes: impl IntoIterator<Item = VecDeque<usize>>) -> Self {
        let mut lineup = Self { lanes: lanes.into_iter().collect(), heads: BinaryHeap::new() };
        for lane in 0..lineup.lanes.len() {
            lineup.free(lane);
        }
        lineup
    }

    /// The invoice that [`Lineup::next`] would hand out.
    pub(crate) fn peek(&self) -> Option<usize> {
        self.heads.peek().map(|Reverse((invoice, _))| *invoice)
    }

    pub(crate) fn next(&mut self) -> Option<Turn> {
        self.heads.pop().map(|Reverse((invoice, lane))| Turn { invoice, lane })
    }

    /// Says that this invoice is answered, so that the next of its lane may go.
    pub(crate) fn done(&mut self, turn: Turn) {
        self.free(turn.lane);
    }

    fn free(&mut self, lane: usize) {
        if let Some(invoice) = self.lanes[lane].pop_front() {
            self.heads.push(Reverse((invoice, lane)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineup(lanes: &[&[usize]]) -> Lineup {
        Lineup::new(lanes.iter().map(|lane| lane.iter().copied().collect()))
    }

    #[test]
    fn the_earliest_invoice_goes_first() {
        let mut lineup = lineup(&[&[3], &[1], &[2]]);
        let order: Vec<usize> = std::iter::from_fn(|| lineup.next().map(|turn| turn.invoice)).collect();
        assert_eq!(order, [1, 2, 3]);
    }

    #[test]
    fn a_customers_second_invoice_waits_for_the_first() {
        let mut lineup = lineup(&[&[0, 1], &[2]]);
        let first = lineup.next().expect("invoice 0");
        assert_eq!(lineup.next().map(|turn| turn.invoice), Some(2), "1 must not overtake 0");
        assert_eq!(lineup.peek(), None);
        lineup.done(first);
        assert_eq!(lineup.next().map(|turn| turn.invoice), Some(1));
        assert_eq!(lineup.next(), None);
    }
}
