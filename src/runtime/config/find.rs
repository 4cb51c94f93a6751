//! Finding a setting by its name, or the name that was meant.

use super::accepted::ACCEPTED;
use super::table::{Setting, settings};

/// A setting by its name, used or only accepted.
#[must_use]
pub fn find(name: &str) -> Option<&'static Setting> {
    settings().chain(ACCEPTED).find(|setting| setting.name == name)
}

/// The known name that differs least from `name`, when it differs little.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let bound = (name.len() / 4).max(2);
    settings()
        .chain(ACCEPTED)
        .map(|setting| (distance(name, setting.name), setting.name))
        .min()
        .filter(|(distance, _)| *distance <= bound)
        .map(|(_, name)| name)
}

/// Levenshtein's edit distance of two names.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut previous = line + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&right) {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = *cell;
            previous = substituted.min(diagonal + 1).min(previous + 1);
            *cell = previous;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_default_is_valid_and_every_name_is_unique() {
        let mut names = BTreeSet::new();
        for setting in settings().chain(ACCEPTED) {
            assert!(names.insert(setting.name), "{} is there twice", setting.name);
            if !setting.default.is_empty() {
                let checked = setting.kind.check(setting.default);
                assert!(checked.is_ok(), "{}: {checked:?}", setting.name);
            }
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(nearest("hawq_master_adress_host"), Some("hawq_master_address_host"));
        assert_eq!(nearest("ha_leese"), Some("ha_lease"));
        assert_eq!(nearest("shared_preload_libraries"), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
