//! What `hawq state --json` says of every node's catalog.

use std::collections::BTreeMap;

use serde_json::Value;

/// Node → (LSN, digest), wherever `hawq state --json` has them.
pub fn digests(state: &Value) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    let mut open = vec![state];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(fields) => {
                if let (Some(digest), Some(lsn)) = (fields.get("digest"), fields.get("digest_lsn"))
                    && !text(digest).is_empty()
                {
                    let name = ["name", "node", "member"].iter().find_map(|key| fields.get(*key));
                    found.insert(name.map(text).unwrap_or_default(), (text(lsn), text(digest)));
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    found
}
