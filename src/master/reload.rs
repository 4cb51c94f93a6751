//! SIGHUP: pg_hba.conf is read again; of the settings it is said which ones wait for the next
//! start.

use crate::runtime::config::{MasterSettings, SettingRow};

/// Tells the log what the files say now and this process does not do.
pub(super) fn report(running: &MasterSettings, reread: Result<MasterSettings, String>) {
    match reread {
        Err(reason) => tracing::warn!("the settings cannot be used at the next start: {reason}"),
        Ok(now) => {
            for line in waiting(&running.rows, &now.rows) {
                tracing::warn!("{line}");
            }
        }
    }
}

/// One line a setting that was changed since the start, in PostgreSQL's words.
fn waiting(running: &[SettingRow], now: &[SettingRow]) -> Vec<String> {
    let changed = now.iter().filter_map(|row| {
        let before = running.iter().find(|known| known.name == row.name)?;
        (before.setting != row.setting).then_some((row, before))
    });
    let line = |(row, before): (&SettingRow, &SettingRow)| {
        format!(
            "parameter \"{}\" cannot be changed without restarting the server: it is \"{}\", and \
             \"{}\" from the next start on",
            row.name, before.setting, row.setting
        )
    };
    changed.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::config::Settings;

    #[test]
    fn only_what_differs_waits() {
        let rows = |lease: &str| {
            let set = [("ha_lease".to_owned(), lease.to_owned())];
            Settings::new(None, &set, &|_| None).unwrap().rows()
        };
        assert!(waiting(&rows("2s"), &rows("2s")).is_empty());
        let lines = waiting(&rows("2s"), &rows("3s"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let text = "parameter \"ha_lease\" cannot be changed without restarting the server";
        assert!(lines[0].starts_with(text), "{lines:?}");
    }
}
