//! The JSON Schema of `results.json`, generated from the types in [`crate::record`].

use schemars::generate::SchemaSettings;

use crate::record::Results;

/// The JSON Schema of the `results.json` that this version writes: every field is present, and a value that was not
/// measured is null.
pub fn schema() -> serde_json::Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Results>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::record::SCHEMA;

    const UPDATE: &str = "UPDATE_SCHEMA=1 cargo test --release -p reports schema";

    #[test]
    fn the_checked_in_schema_follows_from_the_types() {
        let file = format!("schema/{}.json", SCHEMA.replace('/', "-"));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
        let generated = serde_json::to_string_pretty(&super::schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == generated, "reports/{file} differs from the types: run `{UPDATE}`");
    }
}
