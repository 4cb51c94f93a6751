//! What `hawq start`, `stop` and `restart` say in a home of a demo cluster about what lies in
//! another home of it. Without this they would look in `~/hawq-data-directory`.

use crate::environment::Environment;
use crate::usage::{Command, Object};

/// `None`: the object is in this home, or this is no demo.
pub fn refusal(environment: &Environment, command: Command, object: Object) -> Option<String> {
    let root = environment.demo_root()?;
    let is_here = match object {
        Object::Cluster => false,
        Object::Master | Object::Standby => environment.settings.is_set("hawq_master_directory"),
        Object::Segment | Object::AllSegments => {
            environment.settings.is_set("hawq_segment_directory")
        }
    };
    if is_here {
        return None;
    }
    let root = root.display();
    let one = format!("one node of it: \"hawq demo restart NODE --dir {root}\"");
    let cure = match command {
        Command::Stop => format!("stop it with \"hawq demo stop --dir {root}\""),
        Command::Start => format!("start it with \"hawq demo --detach --dir {root}\"; {one}"),
        _ => format!(
            "type \"hawq demo stop --dir {root}\", then \"hawq demo --detach --dir {root}\"; {one}"
        ),
    };
    Some(format!(
        "{} is the home of one node of a demo cluster, which has one for each; {cure}",
        environment.gphome.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn home(root: &Path, name: &str, setting: &str) -> Environment {
        let home = root.join(name);
        fs::create_dir_all(home.join("etc")).unwrap();
        let data = home.join("data").display().to_string();
        let property = format!("<property><name>{setting}</name><value>{data}</value></property>");
        let text = format!("<configuration>{property}</configuration>");
        fs::write(home.join("etc/hawq-site.xml"), text).unwrap();
        let home = home.display().to_string();
        Environment::from(&|name| match name {
            "GPHOME" => Some(home.clone()),
            "HOME" => Some("/nonexistent".to_owned()),
            _ => None,
        })
        .unwrap()
    }

    #[test]
    fn only_what_lies_in_another_home_of_a_demo_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let master = home(temp.path(), "master1", "hawq_master_directory");
        assert_eq!(refusal(&master, Command::Stop, Object::Cluster), None, "no demo yet");
        for name in ["cluster.json", "env.sh"] {
            fs::write(temp.path().join(name), "").unwrap();
        }
        assert_eq!(refusal(&master, Command::Stop, Object::Master), None);
        assert_eq!(refusal(&master, Command::Start, Object::Standby), None);
        let root = temp.path().display();
        for object in [Object::Cluster, Object::Segment, Object::AllSegments] {
            let text = refusal(&master, Command::Stop, object).unwrap();
            assert!(text.ends_with(&format!("\"hawq demo stop --dir {root}\"")), "{text}");
            let text = refusal(&master, Command::Start, object).unwrap();
            assert!(text.contains(&format!("\"hawq demo --detach --dir {root}\"")), "{text}");
        }
        let segment = home(temp.path(), "segment1", "hawq_segment_directory");
        assert_eq!(refusal(&segment, Command::Restart, Object::Segment), None);
        assert!(refusal(&segment, Command::Stop, Object::Master).is_some());
    }
}
