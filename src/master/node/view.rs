//! What an operator is shown of a node: a copy, made after each step that changed something.

use crate::replication::Stage;
use crate::types::{ClusterState, Epoch, Instant, Lsn, Member, NodeRole};

use super::super::ReignNote;
use super::{Node, Role};
use crate::ha::Phase;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    pub me: Member,
    pub role: NodeRole,
    /// Sessions are open: of a primary that has opened, also while it takes over from itself.
    pub open: bool,
    /// Why it does not serve, or why statements wait while sessions stay; empty when it serves.
    pub closed_reason: String,
    pub epoch: Epoch,
    pub promised: Epoch,
    pub write_lsn: Lsn,
    pub flush_lsn: Lsn,
    pub commit_lsn: Lsn,
    pub apply_lsn: Lsn,
    pub first_lsn: Lsn,
    pub record: Option<ClusterState>,
    pub standbys: Vec<StandbyView>,
    pub primary_heard: Option<Instant>,
    /// As the primary last told it; this node may have less.
    pub primary_commit_lsn: Lsn,
    /// Reads may be served until then; `None`: not at all.
    pub readable_until: Option<Instant>,
    pub seeding: Option<String>,
    /// Commits wait: for a change of the record that is in doubt or fails, or for a second member.
    pub commits_wait: Option<String>,
    /// Two claims to one epoch.
    pub alarm: Option<String>,
    /// Of a standby: what forbids a takeover, and what forbids it without a person.
    pub cannot_stand: Vec<String>,
    pub not_by_itself: Vec<String>,
    /// Of a primary: its reign, as the history has it.
    pub reign: Option<ReignNote>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyView {
    pub member: Member,
    /// startup, catchup, streaming, backup.
    pub state: &'static str,
    pub in_sync: bool,
    pub sent: Lsn,
    pub flush: Lsn,
    pub apply: Lsn,
    pub last_heard: Instant,
}

impl NodeView {
    #[must_use]
    pub fn is_open_primary(&self) -> bool {
        self.open && self.role == NodeRole::Primary
    }

    /// Whether more has changed than how far logs have come and when somebody was last heard: that
    /// changes with every message, and whoever wants to know it looks by himself.
    pub(crate) fn is_news(&self, before: &NodeView) -> bool {
        let standing = |view: &NodeView| {
            let applied = view.apply_lsn > Lsn::ZERO;
            (view.me, view.role, view.open, view.readable_until.is_some(), applied)
        };
        let epochs = |view: &NodeView| (view.epoch, view.promised);
        let standbys = |view: &NodeView| {
            let of = |standby: &StandbyView| (standby.member, standby.state, standby.in_sync);
            view.standbys.iter().map(of).collect::<Vec<_>>()
        };
        standing(self) != standing(before)
            || epochs(self) != epochs(before)
            || self.closed_reason != before.closed_reason
            || self.seeding != before.seeding
            || self.commits_wait != before.commits_wait
            || self.record != before.record
            || standbys(self) != standbys(before)
    }
}

impl Node {
    #[must_use]
    pub fn view(&self) -> NodeView {
        let record = self.control.record.clone();
        NodeView {
            me: self.me,
            role: self.shown_role(),
            open: self.open,
            closed_reason: self.closed_reason(),
            epoch: self.control.followed,
            promised: self.control.promised,
            write_lsn: self.log.end,
            flush_lsn: self.log.flushed,
            commit_lsn: self.log.commit,
            apply_lsn: self.log.applied,
            first_lsn: self.log.first,
            standbys: self.standby_views(),
            record,
            primary_heard: self.primary_heard,
            primary_commit_lsn: self.primary_commit,
            readable_until: self.readable_until(),
            seeding: self.seeding.as_ref().map(|seeding| seeding.reason.clone()),
            commits_wait: self.commits_wait(),
            alarm: self.alarm.clone(),
            cannot_stand: if self.is_standby() { self.cannot_stand() } else { Vec::new() },
            not_by_itself: if self.is_standby() { self.not_by_itself() } else { Vec::new() },
            reign: self.reign().map(|reign| reign.note.clone()),
        }
    }

    pub(crate) fn removed(&self) -> bool {
        let record = self.control.record.as_ref();
        record.is_some_and(|record| !record.members.contains_key(&self.me.node))
    }

    fn commits_wait(&self) -> Option<String> {
        let (reign, commit) = (self.reign()?, self.log.commit);
        if self.settings.strict && reign.sync.required().len() < 2 {
            let text = "ha_sync_mode = strict, and no standby is in sync: nothing is committed \
                        before one is";
            return Some(text.to_owned());
        }
        let doubt = reign.change.as_ref().and_then(|change| change.doubt.as_ref());
        // Void as soon as something was committed since.
        let failed = reign.failed.as_ref().filter(|(at, _)| *at == commit);
        let why = doubt.or(failed.map(|(_, reason)| reason));
        why.filter(|_| self.log.end > commit).cloned()
    }

    fn shown_role(&self) -> NodeRole {
        match &self.role {
            Role::Joining { .. } => NodeRole::Joining,
            Role::Following(_) => {
                let record = self.control.record.as_ref();
                let recorded = record.is_some_and(|record| record.is_in_sync(self.me));
                if recorded { NodeRole::InSync } else { NodeRole::CatchingUp }
            }
            Role::TakingOver(_) => NodeRole::TakingOver,
            Role::Primary(_) => NodeRole::Primary,
            Role::SteppingDown { .. } => NodeRole::SteppingDown,
        }
    }

    /// Also while sessions stay open and the node takes over from itself.
    fn closed_reason(&self) -> String {
        match &self.role {
            Role::Primary(_) if self.open => String::new(),
            Role::Joining { closed, .. } => closed.clone(),
            Role::Following(_) if self.removed() => "removed from the cluster".to_owned(),
            Role::Following(follow) => format!("standby of node {}", follow.primary.node),
            Role::TakingOver(attempt) => match (&attempt.phase, &attempt.waiting_for) {
                (Phase::Reading { .. }, Some(reason)) => reason.clone(),
                (Phase::Reading { .. }, None) => "reads the cluster state".to_owned(),
                (Phase::Inquiring { .. }, _) => "asks the other nodes".to_owned(),
                (Phase::Promising { .. } | Phase::Swapping { .. }, _) => {
                    "changes the cluster state".to_owned()
                }
            },
            Role::Primary(reign) if reign.record.unfenced.is_some() => {
                let old = reign.record.unfenced.map_or(self.me.node, |old| old.node);
                format!("waits until node {old} is fenced (ha_fencing_methods)")
            }
            Role::Primary(reign) => {
                let missing: Vec<String> = reign
                    .sync
                    .required()
                    .iter()
                    .filter(|member| {
                        reign.standbys.get(&member.node).is_some_and(|p| p.acked < reign.opens_at)
                    })
                    .map(|member| member.node.to_string())
                    .collect();
                if missing.is_empty() {
                    "replays its log".to_owned()
                } else {
                    format!("waits for the flush of node {}", missing.join(", "))
                }
            }
            Role::SteppingDown { .. } => "handing the reign back".to_owned(),
        }
    }

    fn standby_views(&self) -> Vec<StandbyView> {
        let Some(reign) = self.reign() else { return Vec::new() };
        let view = |progress: &crate::replication::Progress| {
            let in_sync = reign.record.is_in_sync(progress.member);
            StandbyView {
                member: progress.member,
                state: match progress.stage {
                    Stage::Unaligned => "startup",
                    Stage::Seeding => "backup",
                    Stage::Streaming if in_sync => "streaming",
                    Stage::Streaming => "catchup",
                },
                in_sync,
                sent: progress.sent,
                flush: progress.acked,
                apply: progress.applied,
                last_heard: progress.last_heard,
            }
        };
        reign.standbys.values().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::mirroring::tests::view;

    #[test]
    fn progress_is_no_news_and_everything_else_is() {
        let before = view(2, &[1], Some(("catchup", 1)));
        let mut further = before.clone();
        further.write_lsn = Lsn(9);
        further.primary_heard = Some(Instant(7));
        further.standbys[0].flush = Lsn(5);
        further.standbys[0].last_heard = Instant(9);
        assert_ne!(further, before);
        assert!(!further.is_news(&before));
        let changes: [fn(&mut NodeView); 7] = [
            |view| view.open = !view.open,
            |view| view.epoch = Epoch(view.epoch.0 + 1),
            |view| view.closed_reason.push('x'),
            |view| view.record = None,
            |view| view.standbys[0].in_sync = !view.standbys[0].in_sync,
            |view| view.seeding = Some("x".to_owned()),
            |view| view.commits_wait = Some("x".to_owned()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut after = before.clone();
            change(&mut after);
            assert!(after.is_news(&before), "change {number}");
        }
    }
}
