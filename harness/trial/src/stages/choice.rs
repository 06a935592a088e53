//! The stages that a scenario names.

use machine::error::{Error, unknown};
use offsite::settings::Settings;
use offsite::{destination, transform};
use serde::{Deserialize, Serialize};

use super::configured::{ConfiguredStages, Target};
use super::provided::{Server, take_line};

/// The name of stages that leave the artifact where it is.
pub const NONE: &str = "none";

/// One stage: a name, or a table with a name and settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StageChoice {
    /// The name of a transform or destination with its defaults.
    Name(String),
    /// Its settings; the key `stage` is its name.
    Table(Settings),
}

impl StageChoice {
    /// The stages of a list: transforms, then a destination; `None` for an empty list, with which the artifact stays
    /// where it is.
    ///
    /// # Errors
    /// An unknown name, a destination that is missing or is not the last, or what is wrong with the settings.
    pub fn configure(list: &[StageChoice]) -> Result<Option<ConfiguredStages>, String> {
        let Some((last, before)) = list.split_last() else { return Ok(None) };
        let transforms = before.iter().map(|choice| {
            let (name, settings) = choice.parts()?;
            if destination::registry::named(&name).is_ok() {
                return Err(format!("the destination '{name}' must be the last stage"));
            }
            let known = transform::registry::all().iter().map(|entry| entry.name).collect::<Vec<_>>();
            let entry = transform::registry::named(&name).map_err(|_| unknown("transform", &name, &known))?;
            entry.configure(&settings).map_err(message)
        });
        let transforms = transforms.collect::<Result<Vec<_>, _>>()?;
        let (name, mut settings) = last.parts()?;
        let known: Vec<&str> = destination::registry::all().iter().map(|entry| entry.name).collect();
        if transform::registry::named(&name).is_ok() {
            return Err(format!(
                "the last stage must be a destination, but '{name}' is a transform: add one of {}",
                known.join(", ")
            ));
        }
        let entry = destination::registry::named(&name).map_err(|_| unknown("destination", &name, &known))?;
        let label = label(&transforms, &name, &settings);
        let server = Server::take(entry.name, &mut settings)?;
        let line = take_line(server, &mut settings)?;
        let target = Target { entry, given: settings, server, line };
        target.check().map_err(message)?;
        Ok(Some(ConfiguredStages { label, transforms, target }))
    }

    fn parts(&self) -> Result<(String, Settings), String> {
        match self {
            StageChoice::Name(name) => Ok((name.clone(), Settings::new())),
            StageChoice::Table(table) => {
                let mut settings = table.clone();
                match settings.remove("stage") {
                    Some(toml::Value::String(name)) => Ok((name, settings)),
                    _ => Err("a table in `stages` needs the key `stage` with the name of a transform or destination"
                        .into()),
                }
            }
        }
    }
}

fn message(error: Error) -> String {
    match error {
        Error::Input(message) => message,
        other => other.to_string(),
    }
}

/// The names of the stages, with the settings that were given: `zstd:level=9+age+s3`. Paths are left out, because ids
/// are divided by slashes.
fn label(transforms: &[transform::ConfiguredTransform], name: &str, settings: &Settings) -> String {
    let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let given = settings.iter().map(|(key, value)| format!("{key}={}", text(value)));
    let given: Vec<String> = given.filter(|setting| !setting.contains('/')).collect();
    let last = if given.is_empty() { name.to_owned() } else { format!("{name}:{}", given.join(",")) };
    let transforms = transforms.iter().map(|transform| transform.label().replace('/', "_"));
    transforms.chain([last]).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(list: &str) -> Result<Option<ConfiguredStages>, String> {
        #[derive(Deserialize)]
        struct Text {
            stages: Vec<StageChoice>,
        }
        StageChoice::configure(&toml::from_str::<Text>(&format!("stages = {list}")).unwrap().stages)
    }

    #[test]
    fn transforms_come_first_and_a_destination_last() {
        assert!(configured("[]").unwrap().is_none());
        let label = |list: &str| configured(list).unwrap().unwrap().label;
        assert_eq!(label(r#"["directory"]"#), "directory");
        assert_eq!(
            label(r#"[{ stage = "zstd", level = 9 }, "age", "directory"]"#),
            "zstd:level=9+age+directory"
        );
        let slow =
            configured(r#"[{ stage = "sftp", line_bytes_per_second = 32000000, line_round_trip_ms = 20 }]"#);
        let slow = slow.unwrap().unwrap();
        assert_eq!(slow.label, "sftp:line_bytes_per_second=32000000,line_round_trip_ms=20");
        assert_eq!(slow.target.line.round_trip.as_millis(), 20);
        assert_eq!(label(r#"[{ stage = "directory", path = "/mnt" }]"#), "directory");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_cure() {
        let error = |list: &str| configured(list).unwrap_err();
        let messages = [
            error(r#"["zstd"]"#),
            error(r#"["directory", "zstd", "directory"]"#),
            error(r#"["zstt", "directory"]"#),
            error(r#"["directery"]"#),
            error(r#"[{ level = 3 }, "directory"]"#),
            error(r#"[{ stage = "zstd", levle = 3 }, "directory"]"#),
            error(r#"[{ stage = "directory", path = "relative" }]"#),
            error(r#"[{ stage = "directory", line_round_trip_ms = 20 }]"#),
            error(r#"[{ stage = "s3", bucket = "mine", line_bytes_per_second = 1000 }]"#),
            error(r#"[{ stage = "s3", line_bytes_per_second = "fast" }]"#),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }
}
