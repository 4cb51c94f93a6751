//! Settings of one session: what is in force, what may be set, and what clients are told.
//!
//! Order of precedence: `SET LOCAL`, `SET`, startup options, the server's own value (`Live`), the
//! boot value. `COMMIT` keeps what `SET` changed, `ROLLBACK` takes it back: `session` saves and
//! restores the whole value. An unknown name is always an error, never an empty row.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::runtime::config::SettingRow;

use super::error::Error;
use super::live::Live;
use super::setting_table::{Context, DEFINITIONS, Definition, Values};

/// Settings in extension namespaces (`a.b`) and the others that one session may hold.
const OVERRIDES_MAX: usize = 1_000;
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Of no two states of any settings; zero is that without any change.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// What a session has changed, by lower-cased name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Another one after each change; the same version means the same settings.
    version: u64,
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
    /// What `RESET` goes back to: startup options.
    start: BTreeMap<String, String>,
}

/// Which kind of change is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Start,
    Session,
    Local,
}

pub(crate) fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

impl Settings {
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    fn changed(&mut self) {
        self.version = VERSIONS.fetch_add(1, Ordering::Relaxed);
    }

    /// The value in force. `None`: there is no such setting.
    pub(crate) fn get(&self, name: &str, live: &dyn Live) -> Option<String> {
        let key = name.to_lowercase();
        let changed =
            [&self.local, &self.session, &self.start].into_iter().find_map(|map| map.get(&key));
        if let Some(value) = changed {
            return Some(value.clone());
        }
        if let Some(row) = live.setting(&key) {
            return Some(row.setting);
        }
        definition(&key).map(|known| known.boot.to_owned())
    }

    /// As `SHOW` and `current_setting` give it.
    pub(crate) fn show(&self, name: &str, live: &dyn Live) -> Result<String, Error> {
        let value =
            self.get(name, live).ok_or_else(|| Error::UnknownSetting { name: name.to_owned() })?;
        if name.eq_ignore_ascii_case("allow_system_table_mods") {
            return Ok(value.to_uppercase());
        }
        Ok(value)
    }

    pub(crate) fn set(
        &mut self,
        name: &str,
        value: &str,
        scope: Scope,
        live: &dyn Live,
    ) -> Result<String, Error> {
        let key = name.to_lowercase();
        let value = check(name, value, scope, live)?;
        let map = match scope {
            Scope::Start => &mut self.start,
            Scope::Session => {
                self.local.remove(&key);
                &mut self.session
            }
            Scope::Local => &mut self.local,
        };
        if map.len() >= OVERRIDES_MAX && !map.contains_key(&key) {
            return Err(Error::TooLarge { what: "too many settings in one session".to_owned() });
        }
        map.insert(key, value.clone());
        self.changed();
        Ok(value)
    }

    /// Back to the startup option, or the server's value.
    pub(crate) fn reset(&mut self, name: &str, live: &dyn Live) -> Result<(), Error> {
        let key = name.to_lowercase();
        if self.get(&key, live).is_none() {
            return Err(Error::UnknownSetting { name: name.to_owned() });
        }
        if let Some(Definition { context: Context::Internal, .. }) = definition(&key) {
            return Err(Error::CannotChangeSetting { name: name.to_owned(), when: "" });
        }
        self.local.remove(&key);
        self.session.remove(&key);
        self.changed();
        Ok(())
    }

    pub(crate) fn reset_all(&mut self) {
        let keep = |key: &String, _: &mut String| key.starts_with("transaction_") || key == "role";
        self.session.retain(keep);
        self.local.retain(keep);
        self.changed();
    }

    /// `SET LOCAL` ends with its transaction.
    pub(crate) fn end_transaction(&mut self) {
        let of_transaction = |key: &String| key.starts_with("transaction_");
        if !self.local.is_empty() || self.session.keys().any(of_transaction) {
            self.local.clear();
            self.session.retain(|key, _| !of_transaction(key));
            self.changed();
        }
    }

    /// Values fixed by the server for this session; bypasses all checks.
    pub(crate) fn fix(&mut self, name: &str, value: &str) {
        self.start.insert(name.to_lowercase(), value.to_owned());
        self.changed();
    }

    /// What clients are told: canonical name and value.
    pub(crate) fn reported(&self, live: &dyn Live) -> Vec<(String, String)> {
        DEFINITIONS
            .iter()
            .filter(|known| known.reported)
            .map(|known| (known.name.to_owned(), self.get(known.name, live).unwrap_or_default()))
            .collect()
    }

    /// Every setting with the value in force, by name.
    pub(crate) fn rows(&self, live: &dyn Live) -> Vec<SettingRow> {
        let mut rows: BTreeMap<String, SettingRow> =
            DEFINITIONS.iter().map(|known| (known.name.to_lowercase(), row_of(known))).collect();
        for row in live.settings() {
            rows.insert(row.name.to_lowercase(), row);
        }
        for (map, source) in [(&self.start, "client"), (&self.session, "session")] {
            for (key, value) in map {
                if let Some(row) = rows.get_mut(key) {
                    row.setting.clone_from(value);
                    source.clone_into(&mut row.source);
                }
            }
        }
        for (key, value) in &self.local {
            if let Some(row) = rows.get_mut(key) {
                row.setting.clone_from(value);
            }
        }
        rows.into_values().collect()
    }

    /// Schemas to search, in order, `$user` resolved; `pg_catalog` is first unless it is named.
    pub(crate) fn search_path(&self, user: &str, live: &dyn Live) -> Vec<String> {
        let text = self.get("search_path", live).unwrap_or_default();
        let mut path: Vec<String> = text
            .split(',')
            .map(|part| part.trim().trim_matches('"'))
            .filter(|part| !part.is_empty())
            .map(|part| if part == "$user" { user.to_owned() } else { part.to_owned() })
            .collect();
        if !path.iter().any(|schema| schema == "pg_catalog") {
            path.insert(0, "pg_catalog".to_owned());
        }
        path
    }
}

fn row_of(known: &Definition) -> SettingRow {
    let (kind, min, max, choices) = match known.values {
        Values::Bool => ("bool", None, None, None),
        Values::Integer(low, high) => {
            ("integer", Some(low.to_string()), Some(high.to_string()), None)
        }
        Values::Text => ("string", None, None, None),
        Values::Choice(list) => {
            ("enum", None, None, Some(list.iter().map(|item| (*item).to_owned()).collect()))
        }
    };
    let context = match known.context {
        Context::Internal => "internal",
        Context::Backend => "backend",
        Context::Superuser => "superuser",
        Context::User => "user",
    };
    SettingRow {
        name: known.name.to_owned(),
        setting: known.boot.to_owned(),
        unit: known.unit.map(str::to_owned),
        category: "Client Connection Defaults".to_owned(),
        description: known.description.to_owned(),
        context: context.to_owned(),
        kind: kind.to_owned(),
        source: "default".to_owned(),
        min,
        max,
        choices,
        boot_value: known.boot.to_owned(),
    }
}

/// Checks that the setting exists, may be changed now, and takes this value; gives the value in
/// its canonical spelling.
fn check(name: &str, value: &str, scope: Scope, live: &dyn Live) -> Result<String, Error> {
    let refuse = |hint: Option<String>| Error::InvalidSettingValue {
        name: name.to_owned(),
        value: value.to_owned(),
        hint,
    };
    if value.len() > VALUE_BYTES_MAX || value.contains('\0') {
        return Err(refuse(None));
    }
    let Some(known) = definition(name) else {
        if let Some(row) = live.setting(name) {
            return check_server(&row, value);
        }
        // PostgreSQL keeps any two-part name for extensions.
        let custom = name.split('.').count() == 2 && name.split('.').all(is_identifier);
        return if custom {
            Ok(value.to_owned())
        } else {
            Err(Error::UnknownSetting { name: name.to_owned() })
        };
    };
    let cannot = |when| Err(Error::CannotChangeSetting { name: known.name.to_owned(), when });
    match (known.context, scope) {
        (Context::Internal, _) => return cannot(""),
        (Context::Backend, Scope::Session | Scope::Local) => {
            return cannot("after connection start");
        }
        _ => {}
    }
    match known.values {
        Values::Bool => boolean(value).map(|on| if on { "on" } else { "off" }.to_owned()),
        Values::Integer(low, high) => {
            integer(value, known.unit).filter(|n| (low..=high).contains(n)).map(|n| n.to_string())
        }
        Values::Text => text_value(known.name, value),
        Values::Choice(list) => {
            let found = list.iter().find(|item| item.eq_ignore_ascii_case(value));
            let Some(found) = found else {
                return Err(refuse(Some(format!("Available values: {}.", list.join(", ")))));
            };
            Some((*found).to_owned())
        }
    }
    .ok_or_else(|| refuse(None))
}

fn check_server(row: &SettingRow, value: &str) -> Result<String, Error> {
    let cannot = |when| Err(Error::CannotChangeSetting { name: row.name.clone(), when });
    match row.context.as_str() {
        "user" | "superuser" => {}
        "internal" => return cannot(""),
        "postmaster" => return cannot("without restarting the server"),
        _ => return cannot("now"),
    }
    let fits = match row.kind.as_str() {
        "bool" => boolean(value).is_some(),
        "integer" => integer(value, row.unit.as_deref()).is_some(),
        "real" => value.trim().parse::<f64>().is_ok(),
        _ => true,
    };
    if fits {
        return Ok(value.to_owned());
    }
    Err(Error::InvalidSettingValue { name: row.name.clone(), value: value.to_owned(), hint: None })
}

fn is_identifier(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

pub(crate) fn boolean(value: &str) -> Option<bool> {
    let value = value.trim().to_ascii_lowercase();
    let is_prefix = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    if is_prefix("true", 1) || is_prefix("yes", 1) || value == "on" || value == "1" {
        return Some(true);
    }
    let off = is_prefix("false", 1) || is_prefix("no", 1) || is_prefix("off", 2) || value == "0";
    off.then_some(false)
}

fn integer(value: &str, unit: Option<&str>) -> Option<i64> {
    let value = value.trim();
    let split = value.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(value.len());
    let number: i64 = value[..split].trim().parse().ok()?;
    let factor = match (unit, value[split..].trim()) {
        (_, "") | (Some("ms"), "ms") => 1,
        (Some("ms"), "s") => 1_000,
        (Some("ms"), "min") => 60_000,
        (Some("ms"), "h") => 3_600_000,
        (Some("ms"), "d") => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn text_value(name: &str, value: &str) -> Option<String> {
    match name {
        "client_encoding" => {
            let plain = value.trim_matches('\'').to_ascii_uppercase().replace(['-', '_'], "");
            match plain.as_str() {
                "UTF8" | "UNICODE" => Some("UTF8".to_owned()),
                "SQLASCII" => Some("SQL_ASCII".to_owned()),
                _ => None,
            }
        }
        "DateStyle" => {
            let upper = value.to_ascii_uppercase();
            let order = ["DMY", "YMD"].into_iter().find(|order| upper.contains(order));
            let known = ["ISO", "MDY", "DMY", "YMD", "DEFAULT", "US", "EURO", "NONEURO"];
            let parts = upper.split(',').map(str::trim);
            parts
                .clone()
                .all(|part| known.contains(&part))
                .then(|| format!("ISO, {}", order.unwrap_or("MDY")))
        }
        _ => Some(value.to_owned()),
    }
}
