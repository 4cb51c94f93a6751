//! Reading and editing of `hawq-site.xml`.

use super::*;

const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- Site settings of the cluster. -->
<configuration>
    <property>
        <name>hawq_master_address_host</name>
        <value>mdw</value>
        <description>The master &amp; its name.</description>
    </property>
    <!-- the standby -->
    <property>
        <name>hawq_standby_address_host</name>
        <value>smdw</value>
    </property>
    <property><name>hawq_dfs_url</name><value/></property>
    <property>
        <name>unix_socket_directory</name>
    </property>
</configuration>
"#;

fn site(text: &str) -> Result<SiteXml, SiteXmlError> {
    SiteXml::parse(Path::new("etc/hawq-site.xml"), text.to_owned())
}

fn problem(text: &str) -> String {
    match site(text) {
        Ok(site) => panic!("accepted: {:?}", site.properties()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn properties_with_and_without_values_are_read() {
    let site = site(FILE).unwrap();
    let pairs: Vec<(&str, &str, usize)> =
        site.properties().iter().map(|p| (p.name.as_str(), p.value.as_str(), p.line)).collect();
    assert_eq!(
        pairs,
        [
            ("hawq_master_address_host", "mdw", 4),
            ("hawq_standby_address_host", "smdw", 10),
            ("hawq_dfs_url", "", 14),
            ("unix_socket_directory", "", 15),
        ]
    );
}

#[test]
fn entities_and_cdata_are_resolved() {
    let text = "<configuration><property><name>a</name>\
                <value>x &lt;&#65;&amp;<![CDATA[<b>]]></value></property></configuration>";
    assert_eq!(site(text).unwrap().get("a").unwrap().value, "x <A&<b>");
}

#[test]
fn an_edit_changes_the_value_and_nothing_else() {
    let mut site = site(FILE).unwrap();
    site.set("hawq_master_address_host", "smdw").unwrap();
    assert_eq!(site.text(), FILE.replace("<value>mdw</value>", "<value>smdw</value>"));
    site.set("hawq_dfs_url", "a&b").unwrap();
    assert!(site.text().contains("<name>hawq_dfs_url</name><value>a&amp;b</value></property>"));
    assert_eq!(site.get("hawq_dfs_url").unwrap().value, "a&b");
    site.set("unix_socket_directory", "/run/hawq").unwrap();
    assert_eq!(site.get("unix_socket_directory").unwrap().value, "/run/hawq");
}

#[test]
fn a_new_property_is_appended_last() {
    let mut site = site(FILE).unwrap();
    site.set("ha_lease", "1s").unwrap();
    let added = "    <property>\n        <name>ha_lease</name>\n        <value>1s</value>\n    \
                 </property>\n</configuration>";
    assert_eq!(site.text(), FILE.replace("</configuration>", added));
    assert_eq!(site.properties().len(), 5);
}

#[test]
fn a_property_is_removed_with_its_lines() {
    let mut site = site(FILE).unwrap();
    assert!(site.remove("hawq_standby_address_host").unwrap());
    assert!(!site.remove("hawq_standby_address_host").unwrap());
    assert!(site.text().contains("    <!-- the standby -->\n    <property><name>hawq_dfs_url"));
    assert_eq!(site.properties().len(), 3);
}

#[test]
fn an_empty_configuration_takes_a_property() {
    let mut site = site("<configuration></configuration>").unwrap();
    site.set("ha_lease", "1s").unwrap();
    assert_eq!(site.get("ha_lease").unwrap().value, "1s");
}

#[test]
fn broken_files_are_refused_with_line_and_column() {
    let rows = [
        ("", "etc/hawq-site.xml:1:1: no <configuration> element"),
        ("<configuration>\n  <property>\n", "etc/hawq-site.xml:3:1: end of file inside <property>"),
        (
            "<configuration>\n  <propert><name>a</name></propert>\n</configuration>",
            "etc/hawq-site.xml:2:3: <propert> is not expected here",
        ),
        (
            "<configuration><property><value>1</value></property></configuration>",
            "etc/hawq-site.xml:1:16: <property> without a <name>",
        ),
        (
            "<configuration>\nwrong\n</configuration>",
            "etc/hawq-site.xml:1:16: unexpected text \"wrong\"",
        ),
        (
            "<configuration>\n<property><name>a</name></property>\n\
             <property><name>a</name></property></configuration>",
            "etc/hawq-site.xml:3:1: property a is set twice, first in line 2; remove one",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(problem(text), expected);
    }
    let mismatch = problem("<configuration>\n  <property></name>\n</configuration>");
    assert!(mismatch.starts_with("etc/hawq-site.xml:2:13: "), "{mismatch}");
    assert!(problem("<configuration><property").starts_with("etc/hawq-site.xml:1:"));
}

#[test]
fn saving_keeps_the_old_file_and_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hawq-site.xml");
    fs::write(&path, FILE).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut site = SiteXml::load(&path).unwrap();
    site.set("hawq_master_address_host", "smdw").unwrap();
    site.save().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), site.text());
    let backup = fs::read_to_string(directory.path().join(".bak.hawq-site.xml")).unwrap();
    assert_eq!(backup, FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(!directory.path().join(".swp.hawq-site.xml").exists());
}

#[test]
fn a_missing_file_is_named() {
    let error = SiteXml::load(Path::new("does/not/exist.xml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read does/not/exist.xml: "), "{error}");
}
