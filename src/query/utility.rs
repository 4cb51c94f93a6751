//! Small results that need no planner: SHOW, EXPLAIN's lines, the spelling of settings.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};

use crate::runtime::config::SettingRow;

use super::error::Error;
use super::relations::schema_of;
use super::rows;
use super::session::{Output, OutputColumn};
use super::settings::definition;
use super::types::TEXT;

pub(crate) fn text_column(name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), type_oid: TEXT, typlen: -1, typmod: -1 }
}

/// The canonical spelling, which names the column of SHOW.
pub(crate) fn shown_name(name: &str) -> String {
    definition(name).map_or_else(|| name.to_lowercase(), |known| known.name.to_owned())
}

pub(crate) fn text_rows(column: &str, lines: Vec<String>, tag: &str) -> Result<Output, Error> {
    let count = lines.len();
    let array: ArrayRef = Arc::new(StringArray::from(lines));
    let batch = rows::batch(&schema_of(&[(column, TEXT)]), vec![array], count)?;
    let columns = vec![text_column(column)];
    Ok(Output::Rows { columns, batches: vec![batch], tag: tag.to_owned() })
}

pub(crate) fn all_settings(settings: &[SettingRow]) -> Result<Output, Error> {
    let names = ["name", "setting", "description"];
    let of = |pick: fn(&SettingRow) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(settings.iter().map(pick)))
    };
    let arrays = vec![of(|row| &row.name), of(|row| &row.setting), of(|row| &row.description)];
    let schema = schema_of(&names.map(|name| (name, TEXT)));
    let batch = rows::batch(&schema, arrays, settings.len())?;
    let columns = names.iter().map(|name| text_column(name)).collect();
    Ok(Output::Rows { columns, batches: vec![batch], tag: "SHOW".to_owned() })
}

/// The values of SET as one text: only settings that are lists take several.
pub(crate) fn joined(name: &str, values: &[String]) -> Result<String, Error> {
    let list = ["search_path", "datestyle"].contains(&name.to_lowercase().as_str());
    match values {
        [only] if name != "search_path" => Ok(only.clone()),
        _ if list => {
            Ok(values.iter().map(|value| item(name, value)).collect::<Vec<_>>().join(", "))
        }
        _ => {
            Err(Error::InvalidParameter { message: format!("SET {name} takes only one argument") })
        }
    }
}

fn item(name: &str, value: &str) -> String {
    if name == "search_path" && !value.contains(',') {
        super::context::quote_if_needed(value)
    } else {
        value.to_owned()
    }
}
