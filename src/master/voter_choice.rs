//! Who is to hold the record among masters and segments: 3 or 5 voters, pure.
//!
//! Masters come first, since they must reach each other anyway. Two masters need a witness, best on
//! a host without a master: one that dies together with a master would leave no majority.

use std::collections::BTreeSet;

use crate::types::Voter;

/// Those that answered, the primary first, then by priority.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    pub(super) masters: Vec<Voter>,
    pub(super) segments: Vec<Voter>,
}

/// The voters of a cluster with so many masters defined.
///
/// # Errors
/// Why no majority could outlive a node.
pub(super) fn choose(defined: usize, found: Candidates) -> Result<BTreeSet<Voter>, String> {
    let Candidates { masters, segments } = found;
    match (defined, masters.len()) {
        (0 | 1, _) => {
            return Err("there is only one master, so nobody could take over; add a standby with \
                        \"hawq init standby\""
                .to_owned());
        }
        (2, 2) => {}
        (2, _) | (_, 0..=2) => {
            return Err(format!(
                "only {} of {defined} masters have answered as voters",
                masters.len()
            ));
        }
        (3 | 4, _) => return Ok(masters.into_iter().take(3).collect()),
        (_, count) => return Ok(masters.into_iter().take(if count < 5 { 3 } else { 5 }).collect()),
    }
    let apart = |segment: &&Voter| masters.iter().all(|master| master.host != segment.host);
    let witness = segments.iter().find(apart).or(segments.first()).cloned();
    let witness = witness.ok_or(
        "two masters and no segment agent that could be the witness: manual failover only",
    )?;
    Ok(masters.into_iter().chain([witness]).collect())
}

/// The voters `base` with those of `add` and without those of `remove`. Who lost its file lives at
/// the same address as a new voter, and takes the place of the one that it was.
///
/// # Errors
/// Why that many would serve less well. An even number never serves better than one less: it
/// outlives no more of them, and one more has to answer.
pub(super) fn changed(
    base: &BTreeSet<Voter>,
    add: &[Voter],
    remove: &[Voter],
) -> Result<BTreeSet<Voter>, String> {
    let at = |voter: &Voter| (voter.host.clone(), voter.rpc_port);
    let gives_way = |voter: &Voter| {
        remove.contains(voter)
            || add.iter().any(|new| new.incarnation == voter.incarnation || at(new) == at(voter))
    };
    let stay = base.iter().filter(|voter| !gives_way(voter)).cloned();
    let wanted: BTreeSet<Voter> = stay.chain(add.iter().cloned()).collect();
    if wanted == *base {
        return Ok(wanted);
    }
    let count = wanted.len();
    let why = match count {
        3 | 5 => return Ok(wanted),
        0..=2 => "could not outlive one of them",
        4 => "outlive no more of them than 3 do, and one more has to answer",
        _ => "are more than have to be asked",
    };
    Err(format!(
        "{count} voters {why}; there are to be 3 or 5: \"hawq ha voter add NEW --replace OLD\" \
         changes one for another, and two may be added or removed at once"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Incarnation;

    fn voter(name: &str, host: &str) -> Voter {
        let incarnation = Incarnation(name.bytes().map(u64::from).sum());
        Voter { name: name.to_owned(), incarnation, host: host.to_owned(), rpc_port: 1 }
    }

    fn names(chosen: Result<BTreeSet<Voter>, String>) -> Vec<String> {
        match chosen {
            Ok(voters) => voters.into_iter().map(|voter| voter.name).collect(),
            Err(reason) => vec![reason],
        }
    }

    fn masters(count: usize) -> Vec<Voter> {
        (1..=count).map(|n| voter(&format!("m{n}"), &format!("h{n}"))).collect()
    }

    #[test]
    fn as_many_vote_as_a_majority_needs() {
        let (near, far) = (voter("s1", "h1"), voter("s2", "h9"));
        let cases: Vec<(usize, usize, Vec<Voter>, &[&str])> = vec![
            (2, 2, vec![near.clone(), far], &["m1", "m2", "s2"]),
            (2, 2, vec![near.clone()], &["m1", "m2", "s1"]),
            (
                2,
                2,
                vec![],
                &["two masters and no segment agent that could be the witness: manual failover \
                   only"],
            ),
            (2, 1, vec![near.clone()], &["only 1 of 2 masters have answered as voters"]),
            (3, 3, vec![near.clone()], &["m1", "m2", "m3"]),
            (3, 2, vec![near], &["only 2 of 3 masters have answered as voters"]),
            (4, 4, vec![], &["m1", "m2", "m3"]),
            (5, 5, vec![], &["m1", "m2", "m3", "m4", "m5"]),
            (6, 4, vec![], &["m1", "m2", "m3"]),
        ];
        for (defined, answered, segments, expected) in cases {
            let found = Candidates { masters: masters(answered), segments };
            assert_eq!(names(choose(defined, found)), expected, "{defined} {answered}");
        }
        let alone = names(choose(1, Candidates { masters: masters(1), segments: vec![] }));
        assert!(alone[0].starts_with("there is only one master"), "{alone:?}");
    }

    #[test]
    fn voters_are_three_or_five_after_every_change() {
        let three: BTreeSet<Voter> = masters(3).into_iter().collect();
        let (a, b) = (voter("s1", "h8"), voter("s2", "h9"));
        let of = |add: &[Voter], remove: &[Voter]| names(changed(&three, add, remove));
        let first = masters(1);
        assert_eq!(of(std::slice::from_ref(&a), &first), ["m2", "m3", "s1"]);
        assert_eq!(of(&[a.clone(), b.clone()], &[]), ["m1", "m2", "m3", "s1", "s2"]);
        assert_eq!(of(&[], &[]), ["m1", "m2", "m3"]);
        assert!(of(&[], &first)[0].starts_with("2 voters could not outlive one of them"));
        assert!(
            of(std::slice::from_ref(&a), &[])[0]
                .starts_with("4 voters outlive no more of them than 3")
        );
        let five = changed(&three, &[a.clone(), b.clone()], &[]).unwrap();
        assert_eq!(names(changed(&five, &[], &[a, b])), ["m1", "m2", "m3"]);
        assert!(changed(&five, &[], &first).is_err());
        // Its file is gone: the same address, another life.
        let again = Voter { incarnation: Incarnation(7), ..first[0].clone() };
        let after = changed(&three, std::slice::from_ref(&again), &[]).unwrap();
        assert!(after.contains(&again) && !after.contains(&first[0]) && after.len() == 3);
        assert_eq!(changed(&after, &[again], &[]), Ok(after.clone()), "typed again");
    }
}
