//! The options of the Rust generator.

use prost_build::Config;

use crate::Error;

/// See [`crate::Build`], whose methods set them.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) bytes: Vec<String>,
    pub(crate) btree_maps: Vec<String>,
    pub(crate) extern_paths: Vec<(String, String)>,
    pub(crate) type_attributes: Vec<(String, String)>,
    pub(crate) field_attributes: Vec<(String, String)>,
    /// The path of the runtime crate.
    pub(crate) runtime: String,
    /// Whether packages get `FILE_DESCRIPTOR_SET`.
    pub(crate) descriptor_set: bool,
    /// Whether imported packages are generated too.
    pub(crate) imports: bool,
    /// The file that includes all others as nested modules.
    pub(crate) mod_file: Option<String>,
}

/// All keys, for the error message.
const KEYS: &str = "bytes, btree_map, extern_path, type_attribute, field_attribute, runtime, descriptor_set, \
                    imports, mod_file";

impl Default for Options {
    fn default() -> Self {
        Options {
            bytes: Vec::new(),
            btree_maps: Vec::new(),
            extern_paths: Vec::new(),
            type_attributes: Vec::new(),
            field_attributes: Vec::new(),
            runtime: "::spanwire".to_owned(),
            descriptor_set: true,
            imports: true,
            mod_file: Some("mod.rs".to_owned()),
        }
    }
}

impl Options {
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            "bytes" => self.bytes.push(path(key, value)?),
            "btree_map" => self.btree_maps.push(path(key, value)?),
            "extern_path" => self.extern_paths.push(pair(key, value)?),
            "type_attribute" => self.type_attributes.push(pair(key, value)?),
            "field_attribute" => self.field_attributes.push(pair(key, value)?),
            "runtime" => self.runtime = value.to_owned(),
            "descriptor_set" => self.descriptor_set = boolean(key, value)?,
            "imports" => self.imports = boolean(key, value)?,
            "mod_file" => self.mod_file = (!value.is_empty()).then(|| value.to_owned()),
            _ => return Err(Error::new(format!("rust has no option {key:?}; there are: {KEYS}"))),
        }
        Ok(())
    }

    pub(crate) fn prost_config(&self) -> Config {
        let mut config = Config::new();
        // The full names let a message travel inside an `Any`, as rich error details do.
        config.enable_type_names();
        config.type_name_domain(["."], "type.googleapis.com");
        config
            .prost_path(format!("{}::codegen::prost", self.runtime))
            .prost_types_path(format!("{}::codegen::prost_types", self.runtime))
            .bytes(&self.bytes)
            .btree_map(&self.btree_maps);
        for (proto, rust) in &self.extern_paths {
            config.extern_path(proto, rust);
        }
        for (path, attribute) in &self.type_attributes {
            config.type_attribute(path, attribute);
        }
        for (path, attribute) in &self.field_attributes {
            config.field_attribute(path, attribute);
        }
        config
    }
}

/// A path of prost: `.`, or a full name that begins with a dot, or a suffix of one.
fn path(key: &str, value: &str) -> Result<String, Error> {
    if value.is_empty() || value == "true" {
        return Err(Error::new(format!("option {key}: wants a path, such as {key}=.shop.v1")));
    }
    Ok(value.to_owned())
}

fn pair(key: &str, value: &str) -> Result<(String, String), Error> {
    match value.split_once('=') {
        Some((path, value)) if path.starts_with('.') && !value.is_empty() => {
            Ok((path.to_owned(), value.to_owned()))
        }
        _ => Err(Error::new(format!("option {key}: wants a path and a value, such as {key}=.shop.v1=VALUE"))),
    }
}

fn boolean(key: &str, value: &str) -> Result<bool, Error> {
    value.parse().map_err(|_| Error::new(format!("option {key}: wants true or false, not {value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_key_is_an_option() {
        for key in KEYS.split(", ") {
            let value = if key.ends_with("attribute") || key == "extern_path" { ".a=b" } else { "false" };
            assert!(Options::default().set(key, value).is_ok(), "{key}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_form_is_refused_with_an_example() {
        let refused = |key, value| Options::default().set(key, value).unwrap_err().to_string();
        assert_eq!(
            refused("extern_path", "x"),
            "option extern_path: wants a path and a value, such as extern_path=.shop.v1=VALUE"
        );
        assert_eq!(refused("bytes", "true"), "option bytes: wants a path, such as bytes=.shop.v1");
        assert_eq!(refused("imports", "yes"), "option imports: wants true or false, not \"yes\"");
    }
}
