//! The values in force, each with where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::runtime::site_xml::{SiteXml, SiteXmlError};

use super::accepted::ACCEPTED;
use super::find::{find, nearest};
use super::table::{Setting, settings};
use super::value::{Kind, bool_of, duration_of};

/// Settings that hold a password: it is shown to nobody.
const SECRETS: &[&str] = &["ha_zookeeper_auth"];
const HIDDEN: &str = "********";

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::CommandLine => write!(f, "command line"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] SiteXmlError),
    #[error("{origin}: unknown property {name}{}", hint(*suggestion))]
    Unknown { origin: Origin, name: String, suggestion: Option<&'static str> },
    #[error("{origin}: {name} = \"{value}\" is not valid: {problem}")]
    Value { origin: Origin, name: &'static str, value: String, problem: String },
    #[error("{name} not found in hawq-site.xml, but {because} is on")]
    Missing { name: &'static str, because: &'static str },
    #[error("{origin}: {name} uses ${{{variable}}}, which the environment does not have")]
    Variable { origin: Origin, name: String, variable: String },
}

fn hint(suggestion: Option<&str>) -> String {
    match suggestion {
        Some(name) => format!("; did you mean {name}?"),
        None => "; remove it, or see docs/hawq-site.sample.xml for the names".to_owned(),
    }
}

/// One row of `pg_settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    pub name: String,
    pub setting: String,
    pub unit: Option<String>,
    pub category: String,
    pub description: String,
    /// `internal`, `postmaster`, `sighup`, `superuser`, `user`.
    pub context: String,
    /// `bool`, `integer`, `real`, `string`, `enum`.
    pub kind: String,
    pub source: String,
    pub min: Option<String>,
    pub max: Option<String>,
    pub choices: Option<Vec<String>>,
    pub boot_value: String,
}

#[derive(Debug, Clone)]
struct Value {
    text: String,
    origin: Origin,
}

/// Checked one by one; relations are checked by `MasterSettings` and `SegmentSettings`.
#[derive(Debug, Clone)]
pub struct Settings {
    file: Option<PathBuf>,
    values: BTreeMap<&'static str, Value>,
}

/// A setting as a command line has it, `NAME=VALUE`.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Settings {
    /// The defaults, then the file, then `overrides` (name and value, from the command line).
    pub fn load(
        file: Option<&Path>,
        overrides: &[(String, String)],
    ) -> Result<Settings, ConfigError> {
        let site = file.map(SiteXml::load).transpose()?;
        Settings::new(site.as_ref(), overrides, &|name| std::env::var(name).ok())
    }

    /// As `load`, with the file read and the environment given.
    pub fn new(
        site: Option<&SiteXml>,
        overrides: &[(String, String)],
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, ConfigError> {
        let file = site.map(|site| site.path().to_owned());
        let mut settings = Settings { file, values: BTreeMap::new() };
        for property in site.map(SiteXml::properties).unwrap_or_default() {
            let path = site.map(|site| site.path().to_owned()).unwrap_or_default();
            let origin = Origin::File { path, line: property.line };
            settings.set(&property.name, &property.value, origin, environment)?;
        }
        for (name, value) in overrides {
            settings.set(name, value, Origin::CommandLine, environment)?;
        }
        Ok(settings)
    }

    fn set(
        &mut self,
        name: &str,
        text: &str,
        origin: Origin,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let Some(setting) = find(name) else {
            let suggestion = nearest(name);
            return Err(ConfigError::Unknown { origin, name: name.to_owned(), suggestion });
        };
        let text = expand(text, environment).map_err(|variable| ConfigError::Variable {
            origin: origin.clone(),
            name: name.to_owned(),
            variable,
        })?;
        if text.is_empty() && setting.default.is_empty() {
            self.values.remove(setting.name);
            return Ok(());
        }
        let checked = setting.kind.check(&text).map_err(|problem| ConfigError::Value {
            origin: origin.clone(),
            name: setting.name,
            value: text,
            problem,
        })?;
        self.values.insert(setting.name, Value { text: checked, origin });
        Ok(())
    }

    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether the file or the command line has it.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        self.values.get(name).map_or(Origin::Default, |value| value.origin.clone())
    }

    /// The checked text; a name that is not in the table is a bug of ours and reads as empty.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(value) => &value.text,
            None => find(name).map_or("", |setting| setting.default),
        }
    }

    /// A text setting; empty and `none` are `None`.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty() && *text != "none")
    }

    #[must_use]
    pub fn is_on(&self, name: &str) -> bool {
        bool_of(self.text(name)).unwrap_or(false)
    }

    /// Parts between commas, trimmed, without empty ones.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let parts = self.text(name).split(',').map(str::trim);
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// A path, with `~` replaced by the home directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        home(self.text(name))
    }

    /// Of an integer setting; the table's bounds make it fit.
    #[must_use]
    pub fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        let value: i64 = self.text(name).parse().unwrap_or_default();
        T::try_from(value).unwrap_or_default()
    }

    #[must_use]
    pub fn real(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or_default()
    }

    #[must_use]
    pub fn megabytes(&self, name: &str) -> u64 {
        super::value::megabytes_of(self.text(name)).unwrap_or_default()
    }

    /// `None` where the default is to be computed.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let Some(Setting { kind: Kind::Duration { unit, .. }, .. }) = find(name) else {
            return None;
        };
        let text = self.text(name);
        (!text.is_empty()).then(|| duration_of(text, *unit))
    }

    /// An error about a value that is well formed and does not fit another one.
    pub(super) fn misfit(&self, name: &'static str, problem: String) -> ConfigError {
        let origin = match (self.origin(name), &self.file) {
            (Origin::Default, Some(path)) => Origin::File { path: path.clone(), line: 1 },
            (origin, _) => origin,
        };
        ConfigError::Value { origin, name, value: self.shown(name).to_owned(), problem }
    }

    /// The text, unless it is a secret that stands here and not in a file of its own.
    fn shown(&self, name: &str) -> &str {
        let text = self.text(name);
        let secret = SECRETS.contains(&name) && !text.is_empty() && !text.starts_with('@');
        if secret { HIDDEN } else { text }
    }

    /// All settings for `pg_settings`, sorted by name.
    #[must_use]
    pub fn rows(&self) -> Vec<SettingRow> {
        let mut rows: Vec<SettingRow> =
            settings().chain(ACCEPTED).map(|setting| self.row(setting)).collect();
        rows.sort_by(|left, right| left.name.cmp(&right.name));
        rows
    }

    fn row(&self, setting: &Setting) -> SettingRow {
        let (min, max) = setting.kind.bounds();
        let shown = |text: &str| match setting.kind.check(text) {
            Ok(checked) => checked,
            Err(_) => text.to_owned(),
        };
        let choices = match setting.kind {
            Kind::Choice(choices) => Some(choices.iter().map(|c| (*c).to_owned()).collect()),
            _ => None,
        };
        let source = match self.origin(setting.name) {
            Origin::Default => "default",
            Origin::File { .. } => "configuration file",
            Origin::CommandLine => "command line",
        };
        SettingRow {
            name: setting.name.to_owned(),
            setting: shown(self.shown(setting.name)),
            unit: setting.kind.unit().map(str::to_owned),
            category: setting.category.to_owned(),
            description: setting.description.to_owned(),
            context: "postmaster".to_owned(),
            kind: setting.kind.name().to_owned(),
            source: source.to_owned(),
            min,
            max,
            choices,
            boot_value: shown(setting.default),
        }
    }
}

/// `~` and `~/x` of the user that runs the process.
fn home(text: &str) -> PathBuf {
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
            home.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(text),
    }
}

/// Replaces every `${NAME}`; the error is the name of the variable that is missing.
fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else { break };
        let bare = name.strip_prefix("env.").unwrap_or(name);
        expanded.push_str(before);
        expanded.push_str(&environment(bare).ok_or_else(|| name.to_owned())?);
        rest = tail;
    }
    expanded.push_str(rest);
    Ok(expanded)
}
