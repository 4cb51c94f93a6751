//! Loading: layers, refusals, relations, and the rows and files made from the table.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::runtime::site_xml::SiteXml;
use crate::types::Mode;

fn settings(properties: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let mut text = String::from("<configuration>\n");
    for (name, value) in properties {
        text.push_str(&format!("<property><name>{name}</name><value>{value}</value></property>\n"));
    }
    text.push_str("</configuration>\n");
    let site = SiteXml::parse(Path::new("hawq-site.xml"), text)?;
    Settings::new(Some(&site), &[], &|name| (name == "GPHOME").then(|| "/opt/hawq".to_owned()))
}

fn master(properties: &[(&str, &str)]) -> Result<MasterSettings, ConfigError> {
    MasterSettings::new(&settings(properties)?)
}

fn refusal(properties: &[(&str, &str)]) -> String {
    match master(properties) {
        Ok(settings) => panic!("accepted: {settings:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn defaults_are_hawqs_and_the_protocols() {
    let settings = master(&[]).unwrap();
    assert_eq!(
        (settings.host.as_str(), settings.pg_port, settings.rpc_port),
        ("localhost", 5432, 5437)
    );
    assert_eq!(settings.standby_host, None);
    assert_eq!(settings.lease, Duration::from_millis(500));
    assert_eq!(settings.standby_timeout(Mode::Manual), Duration::from_secs(5));
    assert_eq!(settings.commit_timeout, Duration::from_secs(30));
    assert_eq!(settings.segment_heartbeat_interval, Duration::from_secs(30));
    assert_eq!(settings.segment_heartbeat_timeout, Duration::from_secs(300));
    assert_eq!(settings.segment_history_keep, Duration::from_secs(365 * 86_400));
    assert_eq!(settings.manual_shrink, ManualShrink::Witnessed);
    assert_eq!(settings.socket_dir.as_deref(), Some(Path::new("/tmp")));
    assert_eq!(settings.wal_keep_bytes, 1 << 30);
    assert_eq!(settings.http_port, None);
    let segment = SegmentSettings::new(&settings_of(&[])).unwrap();
    assert_eq!((segment.port, segment.rpc_port, segment.memory_mb), (40_000, 5438, 65_536));
}

fn settings_of(properties: &[(&str, &str)]) -> Settings {
    settings(properties).unwrap()
}

#[test]
fn hawqs_two_hosts_are_nodes_1_and_2() {
    let site = [("hawq_master_address_host", "mdw"), ("hawq_standby_address_host", "smdw")];
    let settings = master(&site).unwrap();
    let peers: Vec<(u8, &str, u16)> =
        settings.peers.iter().map(|p| (p.node.get(), p.host.as_str(), p.pg_port)).collect();
    assert_eq!(peers, [(1, "mdw", 5432), (2, "smdw", 5432)]);
    assert_eq!(settings.standby_host.as_deref(), Some("smdw"));
    for none in ["none", "", "LOCALHOST"] {
        let settings = master(&[("hawq_standby_address_host", none)]).unwrap();
        assert_eq!(settings.standby_host, None, "{none}");
    }
}

#[test]
fn a_node_takes_its_address_from_the_peers() {
    let peers = "1@127.0.0.1:6001:5432, 2@[::1]:6002:5433";
    let settings = master(&[("aerie_peers", peers), ("aerie_node", "2")]).unwrap();
    assert_eq!((settings.host.as_str(), settings.rpc_port, settings.pg_port), ("::1", 6002, 5433));
    assert_eq!(settings.peers[1].rpc_address(), "[::1]:6002");
}

#[test]
fn variables_of_the_environment_are_expanded() {
    let site = [("hawq_master_directory", "${GPHOME}/${env.GPHOME}x")];
    let settings = master(&site).unwrap();
    assert_eq!(settings.data_dir, Path::new("/opt/hawq//opt/hawqx"));
    assert_eq!(
        refusal(&[("hawq_master_directory", "${NOWHERE}/x")]),
        "hawq-site.xml:2: hawq_master_directory uses ${NOWHERE}, which the environment does not \
         have"
    );
}

#[test]
fn wrong_settings_are_refused_with_place_value_and_cure() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("hawq_master_adress_host", "x")],
            "hawq-site.xml:2: unknown property hawq_master_adress_host; did you mean \
             hawq_master_address_host?",
        ),
        (
            &[("colour", "blue")],
            "hawq-site.xml:2: unknown property colour; remove it, or see \
             docs/hawq-site.sample.xml for the names",
        ),
        (
            &[("hawq_master_address_port", "http")],
            "hawq-site.xml:2: hawq_master_address_port = \"http\" is not valid: expected an \
             integer",
        ),
        (
            &[("ha_lease", "10ms")],
            "hawq-site.xml:2: ha_lease = \"10ms\" is not valid: it must lie between 100ms and \
             10min",
        ),
        (
            &[("ha_lease", "3s")],
            "hawq-site.xml:1: ha_disk_timeout = \"2s\" is not valid: it must be at least ha_lease \
             (3000ms)",
        ),
        (
            &[("ha_commit_timeout", "1s")],
            "hawq-site.xml:2: ha_commit_timeout = \"1000\" is not valid: it must be at least 4 \
             times ha_lease (2000ms)",
        ),
        (
            &[("enable_master_auto_ha", "on")],
            "ha_zookeeper_quorum not found in hawq-site.xml, but enable_master_auto_ha is on",
        ),
        (
            &[("ha_fencing_methods", "sshfence")],
            "hawq-site.xml:2: ha_fencing_methods = \"sshfence\" is not valid: \"sshfence\" is not \
             a fencing method; write shell(/path/to/script arguments) or none",
        ),
        (
            &[("max_connections", "3")],
            "hawq-site.xml:1: superuser_reserved_connections = \"3\" is not valid: it must be less \
             than max_connections (3)",
        ),
        (
            &[("hawq_rm_segment_heartbeat_timeout", "30s")],
            "hawq-site.xml:2: hawq_rm_segment_heartbeat_timeout = \"30\" is not valid: it must be \
             longer than hawq_rm_segment_heartbeat_interval",
        ),
        (
            &[("aerie_peers", "1@h:1")],
            "hawq-site.xml:2: aerie_peers = \"1@h:1\" is not valid: \"1@h:1\" is not of the form \
             node@host:rpc_port:pg_port",
        ),
        (
            &[("aerie_peers", "1@h:1:2,2@h:2:3")],
            "hawq-site.xml:2: aerie_peers = \"1@h:1:2,2@h:2:3\" is not valid: h:2 is used twice",
        ),
        (
            &[("aerie_node", "7")],
            "hawq-site.xml:2: aerie_node = \"7\" is not valid: aerie_peers does not name node 7; \
             add it there",
        ),
    ];
    for (site, expected) in rows {
        assert_eq!(&refusal(site), expected);
    }
}

#[test]
fn zookeeper_is_named_by_settings_that_are_checked() {
    assert_eq!(master(&[]).unwrap().zookeeper, None);
    let site = [
        ("ha_zookeeper_quorum", "z1:2181, z2:2181,[::1]:2183"),
        ("ha_zookeeper_path", "/ha/aerie/"),
        ("ha_zookeeper_auth", "digest:bob:pa:ss"),
        ("ha_zookeeper_acl", "digest:bob:aGFzaA==:cdrwa, world:anyone:r"),
    ];
    let settings = master(&site).unwrap();
    let row = |name: &str| settings.rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!(row("ha_zookeeper_auth").setting, "********");
    let zookeeper = settings.zookeeper.clone().unwrap();
    assert_eq!(zookeeper.quorum, "z1:2181,z2:2181,[::1]:2183");
    assert_eq!(zookeeper.path, "/ha/aerie");
    assert_eq!(zookeeper.auth[0].identity, "bob:pa:ss");
    let acl = &zookeeper.acl[0];
    assert_eq!((acl.identity.as_str(), acl.permissions.as_str()), ("bob:aGFzaA==", "cdrwa"));
    assert_eq!(zookeeper.attempt_timeout, Duration::from_secs(2));
    let shown = format!("{settings:?}");
    assert!(shown.contains("digest:bob") && !shown.contains("pa:ss"), "{shown}");
}

#[test]
fn wrong_settings_of_zookeeper_are_refused() {
    let quorum = ("ha_zookeeper_quorum", "z:2181");
    let rows = [
        (("ha_zookeeper_quorum", "z1:2181,z2"), "\"z2\" is not of the form host:port"),
        (("ha_zookeeper_quorum", "z:2181,z:2181"), "z:2181 is there twice"),
        (("ha_zookeeper_quorum", "z:0"), "\"z:0\" is not of the form host:port"),
        (("ha_zookeeper_quorum", ","), "expected host:port,host:port,…"),
        (("ha_zookeeper_path", "aerie"), "expected a path from the root, such as /aerie"),
        (("ha_zookeeper_path", "/a//b"), "a part of the path is empty, \".\" or \"..\""),
        (("ha_zookeeper_path", "/zookeeper/x"), "/zookeeper is ZooKeeper's own"),
        (("ha_zookeeper_acl", "world:anyone:rx"), "entry 1 is not of the form scheme:identity:"),
        (("ha_zookeeper_auth", "digest:secret"), "= \"********\" is not valid: entry 1 is not"),
        (("ha_zookeeper_auth", "@/nowhere/auth"), "cannot read /nowhere/auth: "),
    ];
    for (wrong, expected) in rows {
        let site = if wrong.0 == quorum.0 { vec![wrong] } else { vec![quorum, wrong] };
        let said = refusal(&site);
        assert!(said.contains(expected) && !said.contains("secret"), "{said}");
    }
}

#[test]
fn the_command_line_overrides_the_file() {
    let overrides = [("ha_lease".to_owned(), "1s".to_owned())];
    let settings = Settings::new(None, &overrides, &|_| None).unwrap();
    assert_eq!(settings.duration("ha_lease"), Some(Duration::from_secs(1)));
    assert_eq!(settings.origin("ha_lease"), Origin::CommandLine);
    let wrong = [("ha_lease".to_owned(), "soon".to_owned())];
    let error = Settings::new(None, &wrong, &|_| None).unwrap_err().to_string();
    assert!(error.starts_with("command line: ha_lease = \"soon\" is not valid: "), "{error}");
}

#[test]
fn rows_are_what_pg_settings_shows() {
    let rows = settings_of(&[("ha_lease", "1s"), ("hawq_dfs_url", "nn:8020/x")]).rows();
    let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    let lease = row("ha_lease");
    assert_eq!((lease.setting.as_str(), lease.unit.as_deref()), ("1000", Some("ms")));
    assert_eq!((lease.min.as_deref(), lease.max.as_deref()), (Some("100"), Some("600000")));
    assert_eq!((lease.kind.as_str(), lease.source.as_str()), ("integer", "configuration file"));
    assert_eq!(lease.boot_value, "500");
    assert_eq!(row("hawq_dfs_url").setting, "nn:8020/x");
    assert_eq!(row("ha_sync_mode").choices.as_ref().unwrap().len(), 2);
    assert_eq!(row("hawq_rm_segment_heartbeat_interval").setting, "30");
    assert!(rows.is_sorted_by(|left, right| left.name < right.name));
}

#[test]
fn the_sample_file_is_up_to_date_and_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/hawq-site.sample.xml");
    let sample = sample_site_xml();
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(&path, &sample).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == sample, "run the test with UPDATE_SAMPLES=1 to write the sample anew");
    let settings = MasterSettings::load(Some(&path), &[]).unwrap();
    assert_eq!(settings.host, "mdw");
}

#[test]
fn rows_show_what_is_in_force() {
    let shown = |settings: &MasterSettings, name: &str| {
        let row = settings.rows.iter().find(|row| row.name == name).unwrap();
        (row.setting.clone(), row.unit.clone(), row.source.clone())
    };
    let text = |setting: &str, unit: Option<&str>, source: &str| {
        (setting.to_owned(), unit.map(str::to_owned), source.to_owned())
    };
    let settings = master(&[]).unwrap();
    assert_eq!(shown(&settings, "ha_standby_timeout"), text("5000", Some("ms"), "default"));
    assert_eq!(shown(&settings, "ha_coordinator_timeout"), text("2000", Some("ms"), "default"));
    let told = master(&[("ha_standby_timeout", "7s"), ("hawq_master_address_port", "6543")]);
    let told = told.unwrap();
    assert_eq!(shown(&told, "ha_standby_timeout").0, "7000");
    assert_eq!(shown(&told, "port"), text("6543", None, "configuration file"));
    let peers = master(&[("aerie_peers", "1@127.0.0.1:6001:5433")]).unwrap();
    assert_eq!(shown(&peers, "port").0, "5433");
    assert!(peers.rows.is_sorted_by_key(|row| &row.name));
}
