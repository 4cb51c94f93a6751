//! The sample file: every setting with its meaning and default, commented out where the default
//! serves.

use std::fmt::Write;

use super::table::{Setting, settings};
use super::value::Kind;

/// What nobody can leave at its default.
const LIVE: &[(&str, &str)] = &[
    ("hawq_master_address_host", "mdw"),
    ("hawq_master_address_port", "5432"),
    ("hawq_standby_address_host", "smdw"),
    ("hawq_master_directory", "/data/hawq/master"),
    ("hawq_segment_directory", "/data/hawq/segment"),
    ("hawq_segment_address_port", "40000"),
    ("hawq_segment_temp_directory", "/tmp"),
];

/// `docs/hawq-site.sample.xml`.
#[must_use]
pub fn sample_site_xml() -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!-- Generated from the table of settings; copy it to $GPHOME/etc/hawq-site.xml.\n     \
         Names are HAWQ's; HAWQ's other properties are accepted and not used. Times: 500ms,\n     \
         30s, 5min, 1h, 1d. ${NAME} is replaced by that environment variable. -->\n\
         <configuration>\n",
    );
    let mut category = "";
    for setting in settings() {
        if setting.category != category {
            category = setting.category;
            let _ = write!(xml, "\n    <!-- {category} -->\n");
        }
        push(&mut xml, setting);
    }
    xml.push_str("\n</configuration>\n");
    xml
}

fn push(xml: &mut String, setting: &Setting) {
    let live = LIVE.iter().find(|(name, _)| *name == setting.name);
    let value = live.map_or(setting.default, |(_, value)| value);
    let description = describe(setting);
    let (open, close) = if live.is_some() { ("", "") } else { ("<!-- ", " -->") };
    let _ = write!(
        xml,
        "\n    {open}<property>\n        <name>{}</name>\n        <value>{value}</value>\n        \
         <description>{description}</description>\n    </property>{close}\n",
        setting.name
    );
}

fn describe(setting: &Setting) -> String {
    let default = if setting.default.is_empty() { "empty" } else { setting.default };
    let mut text = format!("{} Default: {default}", setting.description);
    if let Kind::Choice(choices) = setting.kind {
        let _ = write!(text, "; one of {}", choices.join(", "));
    }
    if let (Some(min), Some(max)) = setting.kind.bounds() {
        let unit = setting.kind.unit().unwrap_or_default();
        let _ = write!(text, "; {min}{unit} to {max}{unit}");
    }
    text.push('.');
    text
}
