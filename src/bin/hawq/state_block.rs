//! The block of `hawq state` that HAWQ prints, byte for byte: scripts read it.
//!
//! Where HAWQ's text would be wrong here the value comes from what the nodes say: a standby is
//! shown when the site file *or* the primary knows one, segments are told apart by host and port,
//! and pid files are counted by the agents that are heard, since nobody logs in to look.

use std::collections::BTreeSet;

use aerie::proto::v1::{SegmentRow, StatusReply};

/// Input of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub master: &'static str,
    /// Host and state; `None`: no standby defined.
    pub standby: Option<(String, &'static str)>,
    pub segments_configured: usize,
    pub segments_known: usize,
    pub segments_valid: usize,
    pub pid_files_found: usize,
    pub acl_type: String,
}

/// What the site file says.
#[derive(Debug, Clone)]
pub struct SiteFacts {
    pub names_standby: bool,
    pub segment_hosts: Option<usize>,
    pub acl_type: String,
}

impl Block {
    pub fn new(primary: &StatusReply, site: &SiteFacts) -> Block {
        let row = |order: i32| primary.segments.iter().find(|row| row.registration_order == order);
        let segments: Vec<&SegmentRow> =
            primary.segments.iter().filter(|row| row.registration_order > 0).collect();
        let known: BTreeSet<(&str, u32)> =
            segments.iter().map(|row| (row.hostname.as_str(), row.port)).collect();
        let valid: BTreeSet<(&str, u32)> = segments
            .iter()
            .filter(|row| row.status == "u")
            .map(|row| (row.hostname.as_str(), row.port))
            .collect();
        let heard = segments.iter().filter(|row| row.status == "u" && row.has_heard).count();
        Block {
            master: match row(0).map_or("u", |row| row.status.as_str()) {
                "u" => "Active",
                "d" => "Down",
                _ => "Unknown",
            },
            standby: standby(primary, row(-1), site.names_standby),
            segments_configured: site.segment_hosts.unwrap_or(known.len()),
            segments_known: known.len(),
            segments_valid: valid.len(),
            pid_files_found: heard,
            acl_type: site.acl_type.clone(),
        }
    }

    pub fn lines(&self) -> Vec<String> {
        let dashes = "-".repeat(53);
        let rule = format!("{dashes} ");
        let mut lines = vec!["- HAWQ instance status summary".to_owned(), dashes.clone()];
        lines.push(long("Master instance", self.master));
        match &self.standby {
            Some((host, state)) => {
                lines.push(long("Master standby", host));
                lines.push(long("Standby master state", state));
            }
            None => lines.push(format!("-   No Standby master defined{}", " ".repeat(27))),
        }
        let configured = self.segments_configured.to_string();
        lines.push(long("Total segment instance count from config file", &configured));
        lines.push(dashes);
        lines.push(long("Current HAWQ acl type", &self.acl_type));
        lines.push(rule.clone());
        lines.push(format!("-   Segment Status{}", " ".repeat(36)));
        lines.push(rule);
        let failures = self.segments_configured.saturating_sub(self.segments_valid);
        lines.push(short("Total segments count from catalog", self.segments_known));
        lines.push(short("Total segment valid (at master)", self.segments_valid));
        lines.push(short("Total segment failures (at master)", failures));
        let missing = self.segments_configured.saturating_sub(self.pid_files_found);
        let (missing, found) = (missing.to_string(), self.pid_files_found.to_string());
        lines.push(long("Total number of postmaster.pid files missing", &missing));
        lines.push(long("Total number of postmaster.pid files found", &found));
        lines
    }
}

fn standby(
    primary: &StatusReply,
    row: Option<&SegmentRow>,
    named: bool,
) -> Option<(String, &'static str)> {
    if let Some(row) = row {
        let state = if row.status == "u" { "Standby host passive" } else { "Unknown" };
        return Some((row.hostname.clone(), state));
    }
    if let Some(standby) = primary.standbys.first() {
        let heard = standby.state != "unreachable";
        let state = if heard { "Standby host passive" } else { "Unknown" };
        return Some((standby.host.clone(), state));
    }
    named.then(|| ("None".to_owned(), ""))
}

/// `=` in column 51.
fn long(label: &str, value: &str) -> String {
    format!("{:<51}= {value}", format!("-   {label}"))
}

/// `=` in column 43.
fn short(label: &str, value: usize) -> String {
    format!("{:<43}= {value}", format!("-   {label}"))
}

#[cfg(test)]
mod tests {
    use aerie::proto::v1::StandbyStatus;

    use super::*;

    fn row(registration_order: i32, status: &str, hostname: &str) -> SegmentRow {
        SegmentRow {
            registration_order,
            status: status.to_owned(),
            port: 40_000,
            hostname: hostname.to_owned(),
            has_heard: status == "u",
            ..SegmentRow::default()
        }
    }

    fn site(segment_hosts: usize, names_standby: bool) -> SiteFacts {
        let acl_type = "standalone".to_owned();
        SiteFacts { names_standby, segment_hosts: Some(segment_hosts), acl_type }
    }

    #[test]
    fn the_block_is_hawqs_byte_for_byte() {
        let segments = vec![
            row(0, "u", "mdw"),
            row(-1, "u", "smdw"),
            row(1, "u", "sdw1"),
            row(2, "u", "sdw2"),
        ];
        let reply = StatusReply { segments, ..StatusReply::default() };
        let dashes = "-----------------------------------------------------";
        let expected = [
            "- HAWQ instance status summary",
            dashes,
            "-   Master instance                                = Active",
            "-   Master standby                                 = smdw",
            "-   Standby master state                           = Standby host passive",
            "-   Total segment instance count from config file  = 2",
            dashes,
            "-   Current HAWQ acl type                          = standalone",
            "----------------------------------------------------- ",
            "-   Segment Status                                    ",
            "----------------------------------------------------- ",
            "-   Total segments count from catalog      = 2",
            "-   Total segment valid (at master)        = 2",
            "-   Total segment failures (at master)     = 0",
            "-   Total number of postmaster.pid files missing   = 0",
            "-   Total number of postmaster.pid files found     = 2",
        ];
        assert_eq!(Block::new(&reply, &site(2, true)).lines(), expected);
    }

    #[test]
    fn no_standby_and_a_segment_down() {
        let segments = vec![row(0, "u", "mdw"), row(1, "u", "sdw1"), row(2, "d", "sdw2")];
        let reply = StatusReply { segments, ..StatusReply::default() };
        let lines = Block::new(&reply, &site(3, false)).lines();
        assert_eq!(lines[3], "-   No Standby master defined                           ");
        assert_eq!(
            lines[10..],
            [
                "-   Total segments count from catalog      = 2",
                "-   Total segment valid (at master)        = 1",
                "-   Total segment failures (at master)     = 2",
                "-   Total number of postmaster.pid files missing   = 2",
                "-   Total number of postmaster.pid files found     = 1",
            ]
        );
    }

    #[test]
    fn a_standby_is_shown_as_the_primary_sees_it() {
        let standby = |state: &str| StatusReply {
            standbys: vec![StandbyStatus {
                host: "smdw".to_owned(),
                state: state.to_owned(),
                ..StandbyStatus::default()
            }],
            ..StatusReply::default()
        };
        let shown = |reply: &StatusReply, named| Block::new(reply, &site(0, named)).standby;
        let passive = Some(("smdw".to_owned(), "Standby host passive"));
        assert_eq!(shown(&standby("streaming"), false), passive);
        let unknown = Some(("smdw".to_owned(), "Unknown"));
        assert_eq!(shown(&standby("unreachable"), true), unknown);
        assert_eq!(shown(&StatusReply::default(), true), Some(("None".to_owned(), "")));
    }
}
