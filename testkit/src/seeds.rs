//! The seeds of the fuzz targets, which the tests feed to the same functions as cargo-fuzz does.

use std::fs;
use std::path::Path;

/// Feeds each file of `fuzz/corpus/TARGET` to a function that panics at what must not be.
///
/// # Panics
/// When it does, or there are no seeds.
pub fn feed(target: &str, property: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!seeds.is_empty(), "{} has no seeds", folder.display());
    for seed in seeds {
        // Shown when the test fails, the one at fault last.
        println!("{}", seed.display());
        property(&fs::read(&seed).unwrap());
    }
}
