//! What makes a shop's life hard, to see that its promises hold.

pub mod gateway;
