//! `hawq-site.xml`: reads its properties with their places, and changes single values.
//!
//! An edit touches the bytes of the one value only: comments, order and layout of the file stay,
//! and the file is replaced by an atomic rename. Whether a property is known and its value makes
//! sense is decided in `config`, never here.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use quick_xml::Reader;
use quick_xml::escape::{partial_escape, resolve_predefined_entity};
use quick_xml::events::Event;

/// A settings file has some kilobytes; a longer one is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum SiteXmlError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{line}:{column}: {problem}", path.display())]
    Broken { path: PathBuf, line: usize, column: usize, problem: String },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// One `<property>` as it stands in the file: no `${…}` is expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    pub name: String,
    /// Empty when the file has no `<value>`.
    pub value: String,
    pub line: usize,
    pub column: usize,
    span: Range<usize>,
    /// Of `<value>…</value>` or `<value/>` with its tags.
    value_span: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
pub struct SiteXml {
    path: PathBuf,
    text: String,
    properties: Vec<Property>,
    /// Where `</configuration>` begins.
    end: usize,
}

impl SiteXml {
    pub fn load(path: &Path) -> Result<SiteXml, SiteXmlError> {
        let read = |source| SiteXmlError::Read { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(read)?.len();
        if size > FILE_BYTES_MAX {
            let problem = format!("file has {size} bytes, more than {FILE_BYTES_MAX}");
            return Err(SiteXmlError::Broken {
                path: path.to_owned(),
                line: 1,
                column: 1,
                problem,
            });
        }
        SiteXml::parse(path, fs::read_to_string(path).map_err(read)?)
    }

    /// `path` is for messages, and for `save`.
    pub fn parse(path: &Path, text: String) -> Result<SiteXml, SiteXmlError> {
        let scanned = Scan::new(&text).run();
        let (properties, end) = scanned.map_err(|(at, problem)| {
            let (line, column) = place(&text, at);
            SiteXmlError::Broken { path: path.to_owned(), line, column, problem }
        })?;
        Ok(SiteXml { path: path.to_owned(), text, properties, end })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn properties(&self) -> &[Property] {
        &self.properties
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// Changes a property in its place, or appends it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SiteXmlError> {
        let element = format!("<value>{}</value>", partial_escape(value));
        let (span, replacement) = match self.get(name) {
            Some(Property { value_span: Some(span), .. }) => (span.clone(), element),
            Some(property) => {
                let at = property.span.end - "</property>".len();
                (at..at, format!("    {element}\n    "))
            }
            None => {
                let name = partial_escape(name);
                let property = format!(
                    "    <property>\n        <name>{name}</name>\n        {element}\n    \
                     </property>\n"
                );
                let line = line_start(&self.text, self.end);
                let start = line.unwrap_or(self.end);
                let line_break = if line.is_none() { "\n" } else { "" };
                (start..start, format!("{line_break}{property}"))
            }
        };
        self.replace(span, &replacement)
    }

    /// Whether there was such a property.
    pub fn remove(&mut self, name: &str) -> Result<bool, SiteXmlError> {
        let Some(property) = self.get(name) else { return Ok(false) };
        let mut span = property.span.clone();
        if let Some(start) = line_start(&self.text, span.start)
            && self.text.get(span.end..).is_some_and(|rest| rest.starts_with('\n'))
        {
            span = start..span.end + 1;
        }
        self.replace(span, "")?;
        Ok(true)
    }

    /// Keeps the old file as `.bak.NAME`, writes `.swp.NAME`, renames it; durable on return.
    pub fn save(&self) -> Result<(), SiteXmlError> {
        self.replace_file()
            .map_err(|source| SiteXmlError::Write { path: self.path.clone(), source })
    }

    fn replace_file(&self) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let swap = self.path.with_file_name(format!(".swp.{name}"));
        let mut file = File::create(&swap)?;
        file.write_all(self.text.as_bytes())?;
        if let Ok(old) = fs::metadata(&self.path) {
            file.set_permissions(old.permissions())?;
            fs::copy(&self.path, self.path.with_file_name(format!(".bak.{name}")))?;
        }
        file.sync_all()?;
        fs::rename(&swap, &self.path)?;
        match self.path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => {
                File::open(directory)?.sync_all()
            }
            _ => File::open(".")?.sync_all(),
        }
    }

    fn replace(&mut self, span: Range<usize>, replacement: &str) -> Result<(), SiteXmlError> {
        let mut text = self.text.clone();
        text.replace_range(span, replacement);
        *self = SiteXml::parse(&self.path, text)?;
        Ok(())
    }
}

/// Start of the line, when only blanks stand before `at` in it.
fn line_start(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?;
    let start = before.rfind('\n').map_or(0, |line_break| line_break + 1);
    before.get(start..)?.chars().all(|c| c == ' ' || c == '\t').then_some(start)
}

/// Line and column, both from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

type Problem = (usize, String);

/// Where the scan stands in `configuration > property > element`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Outside,
    Configuration,
    Property,
    Name,
    Value,
    Ignored,
    Finished,
}

struct Scan<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    depth: Depth,
    /// Begin of the event that is being looked at.
    at: usize,
    property: Option<Property>,
    named: bool,
    value_start: usize,
    properties: Vec<Property>,
    end: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Scan<'a> {
        Scan {
            text,
            reader: Reader::from_str(text),
            depth: Depth::Outside,
            at: 0,
            property: None,
            named: false,
            value_start: 0,
            properties: Vec::new(),
            end: 0,
        }
    }

    fn run(mut self) -> Result<(Vec<Property>, usize), Problem> {
        loop {
            self.at = self.position();
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err((self.error_position(), error.to_string())),
            };
            match event {
                Event::Eof if self.depth == Depth::Finished => {
                    return Ok((self.properties, self.end));
                }
                Event::Eof => return Err((self.at, self.unfinished())),
                Event::Start(start) => self.open(start.name().as_ref())?,
                Event::Empty(start) => {
                    self.open(start.name().as_ref())?;
                    self.close()?;
                }
                Event::End(_) => self.close()?,
                Event::Text(text) => self.add(&text.xml10_content())?,
                Event::CData(data) => self.add(&data.xml10_content())?,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref() {
                        Ok(Some(character)) => character.to_string(),
                        Ok(None) => self.entity(&reference.xml10_content())?,
                        Err(error) => return Err((self.at, error.to_string())),
                    };
                    self.add(&character)?;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn error_position(&self) -> usize {
        usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX)
    }

    fn unfinished(&self) -> String {
        match self.depth {
            Depth::Outside => "no <configuration> element".to_owned(),
            Depth::Configuration => "end of file before </configuration>".to_owned(),
            _ => "end of file inside <property>".to_owned(),
        }
    }

    fn open(&mut self, element: &str) -> Result<(), Problem> {
        self.depth = match (self.depth, element) {
            (Depth::Outside, "configuration") => Depth::Configuration,
            (Depth::Configuration, "property") => {
                let (line, column) = place(self.text, self.at);
                let span = self.at..self.at;
                let (name, value) = (String::new(), String::new());
                self.property =
                    Some(Property { name, value, line, column, span, value_span: None });
                self.named = false;
                Depth::Property
            }
            (Depth::Property, "name") if !self.named => {
                self.named = true;
                Depth::Name
            }
            (Depth::Property, "value") if !self.has_value() => {
                self.value_start = self.at;
                Depth::Value
            }
            (Depth::Property, "name" | "value") => {
                return Err((self.at, format!("second <{element}> in one <property>")));
            }
            (Depth::Property, "description" | "final" | "source") => Depth::Ignored,
            (Depth::Outside | Depth::Finished, _) => {
                return Err((self.at, format!("<{element}> outside <configuration>")));
            }
            _ => return Err((self.at, format!("<{element}> is not expected here"))),
        };
        Ok(())
    }

    fn has_value(&self) -> bool {
        self.property.as_ref().is_some_and(|property| property.value_span.is_some())
    }

    fn close(&mut self) -> Result<(), Problem> {
        self.depth = match self.depth {
            Depth::Configuration => {
                self.end = self.at;
                Depth::Finished
            }
            Depth::Property => {
                self.finish_property()?;
                Depth::Configuration
            }
            Depth::Value => {
                let span = self.value_start..self.position();
                if let Some(property) = &mut self.property {
                    property.value_span = Some(span);
                    property.value = property.value.trim().to_owned();
                }
                Depth::Property
            }
            Depth::Name | Depth::Ignored => Depth::Property,
            Depth::Outside | Depth::Finished => {
                return Err((self.at, "end tag without a start".to_owned()));
            }
        };
        Ok(())
    }

    fn finish_property(&mut self) -> Result<(), Problem> {
        let end = self.position();
        let Some(mut property) = self.property.take() else { return Ok(()) };
        property.span.end = end;
        property.name = property.name.trim().to_owned();
        if property.name.is_empty() {
            return Err((property.span.start, "<property> without a <name>".to_owned()));
        }
        if let Some(first) = self.properties.iter().find(|other| other.name == property.name) {
            let problem = format!(
                "property {} is set twice, first in line {}; remove one",
                property.name, first.line
            );
            return Err((property.span.start, problem));
        }
        self.properties.push(property);
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), Problem> {
        match (self.depth, &mut self.property) {
            (Depth::Name, Some(property)) => property.name.push_str(text),
            (Depth::Value, Some(property)) => property.value.push_str(text),
            (Depth::Ignored, _) => {}
            _ if text.trim().is_empty() => {}
            _ => return Err((self.at, format!("unexpected text \"{}\"", text.trim()))),
        }
        Ok(())
    }

    fn entity(&self, name: &str) -> Result<String, Problem> {
        resolve_predefined_entity(name)
            .map(str::to_owned)
            .ok_or_else(|| (self.at, format!("unknown entity &{name};")))
    }
}

#[cfg(test)]
#[path = "site_xml_tests.rs"]
mod tests;
