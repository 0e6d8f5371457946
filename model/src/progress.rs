//! Whether the end can be reached from wherever the world is, without luck.
//!
//! Stateright's `eventually` looks at paths without circles only, and a shop that tries again has circles. So all
//! states are collected here, and the ways on are walked backwards from the ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use stateright::Model;

use crate::Shop;
use crate::state::{Life, World};

/// What a walk over all states found.
#[derive(Debug)]
pub struct Progress {
    /// How many states there are.
    pub states: usize,
    /// States in which a worker is awake, but from which the end is not to be reached unless something
    /// happens that the shop cannot count on.
    pub stuck: Vec<World>,
}

/// Visits all states.
pub fn explore(shop: &Shop) -> Progress {
    let mut numbers: HashMap<World, u32> = HashMap::new();
    let mut worlds: Vec<World> = Vec::new();
    let mut back: Vec<Vec<u32>> = Vec::new();
    let mut number_of = |world: World, worlds: &mut Vec<World>, back: &mut Vec<Vec<u32>>| match numbers.entry(world) {
        Entry::Occupied(known) => *known.get(),
        Entry::Vacant(new) => {
            let number = u32::try_from(worlds.len()).unwrap_or(u32::MAX);
            worlds.push(new.key().clone());
            back.push(Vec::new());
            *new.insert(number)
        }
    };
    for world in shop.init_states() {
        number_of(world, &mut worlds, &mut back);
    }
    let (mut actions, mut at) = (Vec::new(), 0);
    while let Some(world) = worlds.get(at).cloned() {
        shop.actions(&world, &mut actions);
        for action in actions.drain(..) {
            let Some(next) = shop.next_state(&world, action) else { continue };
            let next = number_of(next, &mut worlds, &mut back);
            if !action.is_chance() {
                back[next as usize].push(u32::try_from(at).unwrap_or(u32::MAX));
            }
        }
        at += 1;
    }
    let mut reaches: Vec<bool> = worlds.iter().map(World::is_done).collect();
    let mut open: Vec<usize> = (0..worlds.len()).filter(|number| reaches[*number]).collect();
    while let Some(number) = open.pop() {
        for &before in &back[number] {
            if !std::mem::replace(&mut reaches[before as usize], true) {
                open.push(before as usize);
            }
        }
    }
    let anybody = |world: &World| world.workers.iter().any(|worker| worker.life == Life::Awake);
    let stuck = (0..worlds.len()).filter(|n| !reaches[*n] && anybody(&worlds[*n])).map(|n| worlds[n].clone()).collect();
    Progress { states: worlds.len(), stuck }
}
