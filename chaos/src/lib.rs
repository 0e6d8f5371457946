//! The fault rig: a shop of real programs, customers who keep a journal, a nemesis, and a judge who looks from outside.

pub mod driver;
pub mod faults;
pub mod gateway;
pub mod journal;
pub mod oracle;
pub mod report;
pub mod restored;
pub mod round;
pub mod stage;
pub mod watcher;
