//! Visits the larger worlds of the lease protocol, which take minutes and gigabytes: `make model`.

use std::process::ExitCode;
use std::time::Instant;

use shop_model::{Bounds, Rules, Shop};
use stateright::{Checker, Expectation, Model};

const CALM: Bounds = Bounds { workers: 3, jobs: 2, places: 1, crashes: 0, pauses: 0, wipes: 0, lost_answers: 0 };

/// What the tests leave out: several kinds of fault in three workers × two jobs, and more of them in smaller worlds.
const WORLDS: [Bounds; 9] = [
    Bounds { crashes: 1, pauses: 1, wipes: 1, ..CALM },
    Bounds { crashes: 1, pauses: 1, ..CALM },
    Bounds { crashes: 2, wipes: 1, lost_answers: 1, ..CALM },
    Bounds { crashes: 1, wipes: 2, lost_answers: 1, ..CALM },
    Bounds { pauses: 1, wipes: 1, ..CALM },
    Bounds { pauses: 1, lost_answers: 1, ..CALM },
    Bounds { workers: 2, crashes: 1, pauses: 1, wipes: 1, lost_answers: 1, ..CALM },
    Bounds { jobs: 1, crashes: 2, pauses: 2, wipes: 2, lost_answers: 2, ..CALM },
    Bounds { workers: 2, jobs: 1, places: 2, crashes: 1, pauses: 2, wipes: 1, lost_answers: 1 },
];

fn main() -> ExitCode {
    let mut sound = true;
    for bounds in WORLDS {
        let started = Instant::now();
        let checker = Shop::new(bounds, Rules::KEPT).checker().threads(2).spawn_dfs().join();
        println!("{bounds:?}: {} states in {:?}", checker.unique_state_count(), started.elapsed());
        for property in checker.model().properties() {
            if property.expectation == Expectation::Always
                && let Some(path) = checker.discovery(property.name)
            {
                sound = false;
                println!("broken: {}\n{path}", property.name);
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
