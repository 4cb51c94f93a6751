//! Decides what a person's cluster may do with its record (manual mode, section 6 of the protocol).
//!
//! There is no coordinator: the record lies on the disks of the primary and its standbys, and the
//! segments are witnesses. This file only weighs answers that were already collected: whether a
//! restarted primary may believe its own copy, whether it may go on without its standby, and
//! whether a standby may take over at a person's word. It never asks anybody and never writes.

use crate::types::{ClusterState, Epoch, Lsn, Member, NodeId};

use super::{Authority, ReadOutcome, SwapOutcome};

/// What a segment said when it was asked to follow, promise or store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentAnswer {
    pub accepted: bool,
    pub followed: Epoch,
    pub promised: Epoch,
    /// The highest record that it has stored.
    pub record: Option<ClusterState>,
}

/// What another master node said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterAnswer {
    pub node: NodeId,
    pub followed: Epoch,
    pub taking_over: bool,
    pub record: Option<ClusterState>,
}

/// Everything that could be heard within the time allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// How many segments are registered, whether or not they answered.
    pub registered: usize,
    pub segments: Vec<SegmentAnswer>,
    pub masters: Vec<MasterAnswer>,
}

impl Heard {
    /// Segments that agreed, against the registered ones.
    fn most(&self, agreed: usize) -> bool {
        agreed * 2 > self.registered
    }

    fn accepted(&self) -> usize {
        self.segments.iter().filter(|answer| answer.accepted).count()
    }

    /// The newest record that anybody has.
    fn newest(&self) -> Option<&ClusterState> {
        let segments = self.segments.iter().filter_map(|answer| answer.record.as_ref());
        let masters = self.masters.iter().filter_map(|answer| answer.record.as_ref());
        segments.chain(masters).max_by_key(|record| (record.epoch, record.version))
    }

    fn follows(&self) -> impl Iterator<Item = Epoch> {
        let segments = self.segments.iter().map(|answer| answer.followed);
        segments.chain(self.masters.iter().map(|answer| answer.followed))
    }

    /// The highest epoch that anybody follows.
    fn followed(&self) -> Epoch {
        self.follows().max().unwrap_or(Epoch::ZERO)
    }

    /// The same of epochs that are not `me`'s. What a node began without coming to write its record
    /// never was a reign: it stands in nobody's way.
    fn followed_beside(&self, me: NodeId) -> Epoch {
        let others = self.follows().filter(|epoch| epoch.node() != Some(me));
        others.max().unwrap_or(Epoch::ZERO)
    }

    fn promised(&self) -> Epoch {
        self.segments.iter().map(|answer| answer.promised).max().unwrap_or(Epoch::ZERO)
    }

    /// The same answers, to whether a promise of `epoch` would be given.
    #[must_use]
    pub fn before_promise(mut self, epoch: Epoch) -> Heard {
        for answer in &mut self.segments {
            answer.accepted = answer.followed.max(answer.promised) <= epoch;
        }
        self
    }

    fn answered(&self, node: NodeId) -> bool {
        self.masters.iter().any(|answer| answer.node == node)
    }
}

/// Whether `mine`, the local copy, may be believed by the node that reads it.
#[must_use]
pub fn decide_read(mine: &ClusterState, me: NodeId, heard: &Heard) -> ReadOutcome {
    if let Some(newer) = heard.newest().filter(|record| record.epoch > mine.epoch) {
        return ReadOutcome::Record(Box::new(newer.clone()));
    }
    // A standby stands only at a person's word, so its own copy is enough to look for the primary.
    if mine.primary != me {
        return ReadOutcome::Record(Box::new(mine.clone()));
    }
    match confirm(mine, me, heard) {
        Ok(()) => ReadOutcome::Record(Box::new(mine.clone())),
        Err(reason) => ReadOutcome::Unavailable { reason },
    }
}

/// Nobody reigns above `mine`, as far as those who would have to know say.
fn confirm(mine: &ClusterState, me: NodeId, heard: &Heard) -> Result<(), String> {
    let followed = heard.followed_beside(me);
    if followed > mine.epoch {
        return Err(format!(
            "epoch {followed} is followed elsewhere and its record is not known here yet; \
             start the node that took over, run \"hawq activate standby\" there if it stopped half \
             way, or run \"hawq start master --force\" here"
        ));
    }
    if let Some(candidate) = heard.masters.iter().find(|answer| answer.taking_over) {
        return Err(format!("node {} is taking over", candidate.node));
    }
    let promised = heard.promised();
    if let Some(candidate) = promised.node().filter(|node| *node != me && promised > mine.epoch)
        && !heard.answered(candidate)
    {
        return Err(format!(
            "segments have promised epoch {promised} to node {candidate}, which does not answer; \
             start that node, or run \"hawq start master --force\""
        ));
    }
    let others = || mine.members.keys().filter(|node| **node != me);
    if others().next().is_none() && heard.registered == 0 {
        return Ok(());
    }
    let in_sync = mine.in_sync.iter().filter(|member| member.node != me);
    let standbys = others().any(|node| heard.answered(*node))
        && in_sync.into_iter().all(|member| heard.answered(member.node));
    // Without a standby nobody can have taken over.
    if others().next().is_none() || standbys {
        return Ok(());
    }
    if heard.registered > 0 && heard.most(heard.segments.len()) {
        return Ok(());
    }
    Err(format!(
        "neither the standby nor most segments have confirmed that no higher epoch than {} exists \
         ({} of {} segments answered); start the standby or the segments, or run \
         \"hawq start master --force\" if you know that no standby was activated",
        mine.epoch,
        heard.segments.len(),
        heard.registered
    ))
}

/// What a decision allows: to write the proposed record durably here, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Write it. The sentence is for the operator's log: what is known, what may be missing.
    Write {
        says: Option<String>,
    },
    Answer(SwapOutcome),
}

fn refuse(reason: String) -> Verdict {
    refuse_above(reason, Epoch::ZERO)
}

fn refuse_above(reason: String, met: Epoch) -> Verdict {
    Verdict::Answer(SwapOutcome::Failed { current: None, reason, met })
}

/// Restart: the primary takes over from itself.
#[must_use]
pub fn decide_restart(
    authority: Authority,
    current: &ClusterState,
    proposed: &ClusterState,
    heard: &Heard,
) -> Verdict {
    if let Some(verdict) = overtaken(proposed, heard) {
        return verdict;
    }
    // Not even by force: refused by those segments it would have to take over again, by the rules.
    if heard.promised() > proposed.epoch {
        let met = heard.promised();
        let reason = format!("segments have promised epoch {met}; the next try goes above it");
        return refuse_above(reason, met);
    }
    let forced = matches!(authority, Authority::Person { force: true, .. });
    if forced {
        let says =
            format!("opened by force at epoch {} without hearing from the others", proposed.epoch);
        return Verdict::Write { says: Some(says) };
    }
    match confirm(current, proposed.primary, heard) {
        Ok(()) => Verdict::Write { says: None },
        Err(reason) => refuse(reason),
    }
}

/// Takeover: only at a person's word. `heard` holds what the segments said before they were asked
/// for a promise, or their answers to it. `local`: the primary shrinks without asking them.
#[must_use]
pub fn decide_takeover(
    authority: Authority,
    current: &ClusterState,
    proposed: &ClusterState,
    heard: &Heard,
    local: bool,
) -> Verdict {
    let Authority::Person { force, end } = authority else {
        return refuse("in manual mode only a person can order a takeover".to_owned());
    };
    if let Some(verdict) = overtaken(proposed, heard) {
        return verdict;
    }
    let Some(me) = current.member(proposed.primary) else {
        return refuse(format!("node {} is not a member of the cluster", proposed.primary));
    };
    if let Some(verdict) = outbid(proposed, heard) {
        return verdict;
    }
    // Of its own reign the primary has the record; a later version was proposed and not written.
    let newer = |record: &&ClusterState| {
        let later = (record.epoch, record.version) > (current.epoch, current.version);
        record.epoch > current.epoch || later && current.primary != me.node
    };
    let newest = heard.newest().filter(newer).unwrap_or(current);
    let stale = |reason| {
        let (current, met) = (Some(Box::new(newest.clone())), Epoch::ZERO);
        Verdict::Answer(SwapOutcome::Failed { current, reason, met })
    };
    // Somebody has taken over since this node read its copy, and may be about to open.
    if newest.epoch > current.epoch {
        return stale(format!("node {} has taken over meanwhile", newest.primary));
    }
    // Who has left the set since this node last heard must not be in sync again by its old copy.
    if let Some(left) = proposed.in_sync.iter().find(|m| **m != me && !newest.is_in_sync(**m)) {
        let node = left.node;
        return stale(format!("node {node} is out of sync by now; run the command again"));
    }
    // The recorded primary has more to fear than a standby: that one of them took over from it.
    if current.primary == me.node
        && !force
        && let Err(reason) = confirm(current, me.node, heard)
    {
        return refuse(reason);
    }
    let doubt = doubts(newest, heard, end, me);
    match (doubt, force) {
        (None, _) => Verdict::Write { says: Some(knows(newest, heard, end, (me, local))) },
        (Some(doubt), true) => Verdict::Write { says: Some(format!("{doubt}; going on by force")) },
        (Some(doubt), false) => refuse(format!(
            "{doubt}; run \"hawq activate standby --force\" to accept what may be lost"
        )),
    }
}

/// Somebody already follows an epoch that is not below the proposed one.
fn overtaken(proposed: &ClusterState, heard: &Heard) -> Option<Verdict> {
    let current = heard.newest().filter(|record| {
        record.epoch > proposed.epoch
            || (record.epoch == proposed.epoch && record.nonce != proposed.nonce)
    });
    if current.is_none() && heard.followed() <= proposed.epoch {
        return None;
    }
    let epoch = current.map_or(heard.followed(), |record| record.epoch);
    Some(Verdict::Answer(SwapOutcome::Failed {
        current: current.cloned().map(Box::new),
        reason: format!("epoch {epoch} is already followed"),
        met: epoch,
    }))
}

/// The last step of a takeover: most segments follow the new epoch before its record is written.
/// Whoever asks them for a promise after that hears of it; whoever has a higher promise of most
/// already keeps them from it. So of two standbys that are activated at once one reigns, although
/// each had the promises of most. `says` is what is known of the takeover.
#[must_use]
pub fn decide_begin(
    authority: Authority,
    proposed: &ClusterState,
    heard: &Heard,
    says: Option<String>,
) -> Verdict {
    if let Some(verdict) = overtaken(proposed, heard).or_else(|| outbid(proposed, heard)) {
        return verdict;
    }
    let forced = matches!(authority, Authority::Person { force: true, .. });
    if forced || heard.registered == 0 || heard.most(heard.accepted()) {
        return Verdict::Write { says };
    }
    refuse(format!(
        "only {} of {} segments follow epoch {}; start the others and run the command again",
        heard.accepted(),
        heard.registered,
        proposed.epoch
    ))
}

/// Somebody else has a promise above the proposed epoch.
fn outbid(proposed: &ClusterState, heard: &Heard) -> Option<Verdict> {
    let met = heard.promised();
    if met <= proposed.epoch {
        return None;
    }
    let whose = met.node().map_or_else(|| "another node".to_owned(), |n| format!("node {n}"));
    let reason = format!(
        "segments have promised epoch {met} to {whose}, above {}; unless {whose} takes over with \
         it, run the command again: it will go above that",
        proposed.epoch
    );
    Some(refuse_above(reason, met))
}

/// The sentence that keeps a takeover from happening without `--force`.
fn doubts(newest: &ClusterState, heard: &Heard, end: Lsn, me: Member) -> Option<String> {
    if !newest.is_in_sync(me) {
        let since = newest.not_synchronized_since;
        let since = since.map_or_else(String::new, |lsn| format!(" since {lsn}"));
        return Some(format!(
            "this standby was out of sync{since} (record {newest}); its log ends at {end} and what \
             the primary acknowledged after that would be lost"
        ));
    }
    let followed = heard.followed_beside(me.node);
    if let Some(node) = followed.node().filter(|_| followed > newest.epoch) {
        return Some(format!(
            "a segment follows epoch {followed} of node {node}, whose record is not known here; \
             activate that node, or what it may have acknowledged would be lost"
        ));
    }
    let witnessed = heard.registered == 0 || heard.most(heard.accepted());
    let feared = match newest.primary == me.node {
        true => "a standby took over from this primary",
        false => "the primary went on without this standby",
    };
    (!witnessed).then(|| {
        format!(
            "only {} of {} segments have answered, so it cannot be excluded that {feared}, whose \
             log ends at {end}",
            heard.accepted(),
            heard.registered
        )
    })
}

fn knows(newest: &ClusterState, heard: &Heard, end: Lsn, (me, local): (Member, bool)) -> String {
    let who = if newest.primary == me.node { "primary" } else { "standby" };
    let witnesses = if heard.registered == 0 {
        format!("no segments are registered, so this goes by the {who}'s own knowledge")
    } else if local {
        format!(
            "ha_manual_shrink = local lets the primary go on alone without telling the segments, \
             so this goes by the {who}'s own knowledge"
        )
    } else {
        format!("{} of {} segments agree", heard.accepted(), heard.registered)
    };
    format!("this {who} was in sync (record {newest}); its log ends at {end}; {witnesses}")
}

/// Shrink: most of the registered segments must have stored that the standby is out of sync.
#[must_use]
pub fn decide_shrink(proposed: &ClusterState, heard: &Heard, local: bool) -> Verdict {
    if let Some(verdict) = overtaken_in_reign(proposed, heard) {
        return verdict;
    }
    if local || heard.registered == 0 || heard.most(heard.accepted()) {
        return Verdict::Write { says: None };
    }
    // Those that did store it stand by it, so the outcome stays open until most have.
    Verdict::Answer(SwapOutcome::Unknown {
        reason: format!(
            "only {} of {} segments have stored that the standby is out of sync; commits wait: \
             bring segments or the standby back, or run \"hawq init standby -r\"",
            heard.accepted(),
            heard.registered
        ),
    })
}

fn overtaken_in_reign(proposed: &ClusterState, heard: &Heard) -> Option<Verdict> {
    let newer = heard.newest().filter(|record| record.epoch > proposed.epoch);
    if newer.is_none() && heard.followed() <= proposed.epoch {
        return None;
    }
    Some(Verdict::Answer(SwapOutcome::Failed {
        current: newer.cloned().map(Box::new),
        reason: format!("a segment follows epoch {}", heard.followed()),
        met: heard.followed(),
    }))
}

#[cfg(test)]
#[path = "manual_policy_tests.rs"]
pub(crate) mod tests;
