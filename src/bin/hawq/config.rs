//! `hawq config`: shows and changes settings in this host's `hawq-site.xml`.
//!
//! Values are those of the file and the defaults; a running node has them after its next start. A
//! change is checked as a node would check it, before anything is written.

use aerie::runtime::config::{ConfigError, MasterSettings, SegmentSettings, Settings};
use aerie::runtime::site_xml::SiteXml;

use crate::Done;
use crate::activate::change_lines;
use crate::arguments::ConfigOptions;
use crate::environment::Environment;
use crate::report::print;

/// HAWQ does not remove these, since nothing starts without them.
const PROTECTED: [&str; 3] =
    ["hawq_master_directory", "hawq_master_address_host", "hawq_segment_directory"];

pub fn run(options: &ConfigOptions) -> anyhow::Result<Done> {
    let environment = Environment::load()?;
    let done = match options {
        ConfigOptions { show: Some(name), .. } => show(&environment.settings, name),
        ConfigOptions { list: true, .. } => {
            for row in environment.settings.rows() {
                print(&format!("{}\n", pair(&row.name, &row.setting)));
            }
            true
        }
        ConfigOptions { change: Some(name), value: Some(value), .. } => {
            change(environment.site, name, value, options)?
        }
        ConfigOptions { change: Some(name), value: None, .. } => {
            print(&format!("Please give the new value of {name} with -v"));
            false
        }
        ConfigOptions { remove: Some(name), .. } => remove(environment.site, name)?,
        _ => {
            print("Please input correct options");
            false
        }
    };
    Ok(if done { Done::Well } else { Done::Badly })
}

fn pair(name: &str, value: &str) -> String {
    format!("GUC\t\t: {name}\nValue\t\t: {value}")
}

fn show(settings: &Settings, name: &str) -> bool {
    match settings.rows().into_iter().find(|row| row.name == name) {
        Some(row) => print(&pair(name, &row.setting)),
        None => {
            print(&format!("Failed to retrieve GUC information, guc {name} does not exist"));
            return false;
        }
    }
    true
}

fn change(
    mut site: SiteXml,
    name: &str,
    value: &str,
    options: &ConfigOptions,
) -> anyhow::Result<bool> {
    let existed = site.get(name).is_some();
    site.set(name, value)?;
    if !options.skipvalidation {
        match check(&site) {
            Ok(()) => {}
            Err(ConfigError::Unknown { suggestion, .. }) => {
                print("This GUC name is not valid, use --skipvalidation to do force update");
                if let Some(suggestion) = suggestion {
                    print(&format!("Did you mean {suggestion}?"));
                }
                return Ok(false);
            }
            Err(error) => {
                print(&error.to_string());
                return Ok(false);
            }
        }
    }
    site.save()?;
    for line in change_lines(name, existed, value) {
        print(&line);
    }
    if !options.quiet {
        print(&pair(name, value));
    }
    Ok(true)
}

fn remove(mut site: SiteXml, name: &str) -> anyhow::Result<bool> {
    if PROTECTED.contains(&name) {
        print(&format!("Remove {name} is not allowed"));
        return Ok(false);
    }
    if site.remove(name)? {
        check(&site)?;
        site.save()?;
    }
    Ok(true)
}

/// As both daemons would.
fn check(site: &SiteXml) -> Result<(), ConfigError> {
    let settings = Settings::new(Some(site), &[], &|name| std::env::var(name).ok())?;
    MasterSettings::new(&settings)?;
    SegmentSettings::new(&settings)?;
    Ok(())
}
