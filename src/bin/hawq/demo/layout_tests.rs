//! Files of a demo cluster.

use super::super::record::Lock;
use super::super::text;
use super::*;

fn plan(layout: &Layout) -> Record {
    Record {
        cluster_id: "00000000-0000-0000-0000-00000000002a".to_owned(),
        nodes: vec![
            layout.entry(Kind::Master, 1, (5432, 15001)),
            layout.entry(Kind::Master, 2, (15002, 15003)),
            layout.entry(Kind::Segment, 1, (15004, 15005)),
        ],
    }
}

#[test]
fn cluster_json_has_exactly_the_promised_fields() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path()).unwrap();
    let mut record = plan(&layout);
    record.nodes[0].pid = Some(77);
    record.nodes.truncate(1);
    record.write(&layout).unwrap();
    let text = fs::read_to_string(layout.record_file()).unwrap();
    let data = layout.data_dir("master1").display().to_string();
    let expected = format!(
        r#"{{
  "cluster_id": "00000000-0000-0000-0000-00000000002a",
  "nodes": [
    {{
      "name": "master1",
      "kind": "master",
      "pid": 77,
      "supervisor_pid": null,
      "pg_port": 5432,
      "rpc_port": 15001,
      "data_dir": "{data}",
      "log": "{data}/pg_log/startup.log"
    }}
  ]
}}
"#
    );
    assert_eq!(text, expected);
    assert_eq!(Record::read(&layout).unwrap(), record);
    let mut refreshed = record.clone();
    refreshed.refresh(&layout);
    assert_eq!(refreshed.nodes[0].pid, None, "pid 77 is not our daemon");
}

#[test]
fn every_node_has_settings_that_load() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path()).unwrap();
    let record = plan(&layout);
    layout.write_etc(&record, &[]).unwrap();
    let master = layout.environment("master2").unwrap();
    assert_eq!((master.master.pg_port, master.master.rpc_port), (15002, 15003));
    assert_eq!(master.master.data_dir, layout.data_dir("master2"));
    assert_eq!(master.master.listen_addresses, [HOST]);
    assert_eq!(master.segment_hosts, Some(vec![HOST.to_owned()]));
    let daemon = layout.daemon(&record.nodes[2], &record.cluster_id).unwrap();
    assert_eq!(daemon.program, "hawq-segment");
    let data = layout.data_dir("segment1").display().to_string();
    let temp = layout.home("segment1").join("tmp").display().to_string();
    assert_eq!(
        daemon.arguments,
        [
            format!("--data-dir={data}"),
            "--host=127.0.0.1".to_owned(),
            "--port=15004".to_owned(),
            "--rpc-port=15005".to_owned(),
            "--cluster-id=00000000-0000-0000-0000-00000000002a".to_owned(),
            format!("--secret-file={data}/cluster.secret"),
            "--heartbeat-interval=1000ms".to_owned(),
            "--directory-interval=10000ms".to_owned(),
            "--memory-mb=1024".to_owned(),
            "--cores=1".to_owned(),
            "--listen=127.0.0.1".to_owned(),
            "--master=127.0.0.1:15001".to_owned(),
            "--master=127.0.0.1:15003".to_owned(),
            format!("--temp-dir={temp}"),
        ]
    );
}

#[test]
fn a_new_cluster_has_the_settings_that_were_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path()).unwrap();
    let asked = [("ha_lease", "1s"), ("ha_max_failovers_per_hour", "7")];
    let asked = asked.map(|(name, value)| (name.to_owned(), value.to_owned()));
    layout.write_etc(&plan(&layout), &asked).unwrap();
    let settings = layout.environment("master2").unwrap().settings;
    assert_eq!(settings.text("ha_lease"), "1000", "milliseconds");
    assert_eq!(settings.text("ha_max_failovers_per_hour"), "7", "another one than the demo's");
    let segment = fs::read_to_string(layout.home("segment1").join("etc/hawq-site.xml")).unwrap();
    assert!(!segment.contains("ha_lease"), "{segment}");
}

#[test]
fn settings_that_someone_changed_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path()).unwrap();
    let record = plan(&layout);
    layout.write_etc(&record, &[]).unwrap();
    let site = layout.home("master1").join("etc/hawq-site.xml");
    let changed = fs::read_to_string(&site).unwrap().replace("10s", "20s");
    fs::write(&site, &changed).unwrap();
    layout.write_etc(&record, &[]).unwrap();
    assert_eq!(fs::read_to_string(&site).unwrap(), changed);
}

#[test]
fn the_environment_names_every_master() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path()).unwrap();
    let record = plan(&layout);
    let env = text::env_sh(&layout, &record, Path::new("/opt/aerie/bin"));
    let root = layout.root().display();
    let expected = format!(
        "# Source this file: hawq and psql then find the demo cluster.\n\
         unset HAWQSITE_CONF PGHOSTADDR PGSERVICE\n\
         export PATH='/opt/aerie/bin':\"$PATH\"\n\
         export GPHOME='{root}/master1'\n\
         export MASTER_DATA_DIRECTORY='{root}/master1/data'\n\
         export PGHOST=127.0.0.1,127.0.0.1\n\
         export PGPORT=5432,15002\n\
         export PGUSER=gpadmin\n\
         export PGDATABASE=postgres\n\
         export PGTARGETSESSIONATTRS=primary\n"
    );
    assert_eq!(env, expected);
    let by_itself = text::welcome(&layout, &record, text::Takeover::ByItself);
    assert!(!by_itself.contains("activate"), "{by_itself}");
    let welcome = text::welcome(&layout, &record, text::Takeover::ByHand);
    for expected in [
        "psql \"host=127.0.0.1,127.0.0.1 port=5432,15002 user=gpadmin dbname=postgres \
         target_session_attrs=primary\"",
        "jdbc:postgresql://127.0.0.1:5432,127.0.0.1:15002/postgres?user=gpadmin&\
         targetServerType=primary",
        "hawq activate standby -a",
    ] {
        assert!(welcome.contains(expected), "{expected} is not in {welcome}");
    }
}

#[test]
fn the_lock_excludes() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path()).unwrap();
    let lock = Lock::take(&layout).unwrap();
    assert!(Lock::try_take(&layout).unwrap().is_none());
    drop(lock);
    assert!(Lock::try_take(&layout).unwrap().is_some());
}
