//! The helper for `build.rs`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Generator, compile, protoc};

/// Generates Rust code from a build script; see [`Build::compile`].
#[must_use]
pub fn build() -> Build {
    Build { includes: Vec::new(), out_dir: None, options: Vec::new() }
}

/// What to generate, and how. Made by [`build()`].
#[derive(Clone, Debug)]
pub struct Build {
    includes: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
    options: Vec<String>,
}

impl Build {
    /// Adds a folder that imports are searched in. Without any, the folder of each file is one.
    #[must_use]
    pub fn include(mut self, folder: impl Into<PathBuf>) -> Self {
        self.includes.push(folder.into());
        self
    }

    /// Writes to this folder, which is made if it is missing, instead of `$OUT_DIR`.
    #[must_use]
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// `bytes` fields of what `path` matches become `Bytes` (shared, not copied when received) instead of
    /// `Vec<u8>`. `.` matches everything, `.shop.v1` a package, `.shop.v1.Order.photo` a field.
    #[must_use]
    pub fn bytes(self, path: &str) -> Self {
        self.option("bytes", path)
    }

    /// Maps of what `path` matches become `BTreeMap` instead of `HashMap`.
    #[must_use]
    pub fn btree_map(self, path: &str) -> Self {
        self.option("btree_map", path)
    }

    /// Takes `proto_path` (`.google.rpc`, a package or a type) from the Rust path `rust_path` instead of
    /// generating it.
    #[must_use]
    pub fn extern_path(self, proto_path: &str, rust_path: &str) -> Self {
        self.option("extern_path", &format!("{proto_path}={rust_path}"))
    }

    /// Puts `attribute` (`#[derive(serde::Serialize)]`) on the types that `path` matches.
    #[must_use]
    pub fn type_attribute(self, path: &str, attribute: &str) -> Self {
        self.option("type_attribute", &format!("{path}={attribute}"))
    }

    /// Puts `attribute` on the fields that `path` matches.
    #[must_use]
    pub fn field_attribute(self, path: &str, attribute: &str) -> Self {
        self.option("field_attribute", &format!("{path}={attribute}"))
    }

    /// Leaves out the constants `FILE_DESCRIPTOR_SET`, which server reflection needs.
    #[must_use]
    pub fn without_descriptor_set(self) -> Self {
        self.option("descriptor_set", "false")
    }

    /// The path of the `spanwire` crate in generated code, if it is not `::spanwire`.
    #[must_use]
    pub fn runtime(self, rust_path: &str) -> Self {
        self.option("runtime", rust_path)
    }

    fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push(format!("{key}={value}"));
        self
    }

    /// Compiles the files and all that they import, and writes one file per package and `mod.rs`, which includes
    /// them all as nested modules. Files whose content stays the same are not touched. Tells Cargo to run the
    /// build script again when a source changes.
    ///
    /// # Errors
    /// When a source is missing or wrong, when the output cannot be written, or when there is no `$OUT_DIR`.
    pub fn compile(self, files: &[impl AsRef<Path>]) -> Result<(), Error> {
        let in_cargo = env::var_os("OUT_DIR").is_some();
        let out_dir = match self.out_dir {
            Some(folder) => folder,
            None => env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
                Error::new("no OUT_DIR: call this from a build script, or choose a folder with out_dir()")
            })?,
        };
        let mut generator = Generator::new("rust")?;
        for option in &self.options {
            generator.set(option)?;
        }
        let descriptors = compile(files, &self.includes)?;
        if in_cargo {
            for source in descriptors.sources() {
                println!("cargo:rerun-if-changed={}", source.display());
            }
            if descriptors.used_protoc() {
                println!("cargo:rerun-if-env-changed={}", protoc::VARIABLE);
            }
        }
        for file in generator.generate(&descriptors)? {
            write(&out_dir.join(&file.path), &file.content)?;
        }
        Ok(())
    }
}

/// Writes `content` unless it is there already: a new time stamp would compile the crate again.
fn write(path: &Path, content: &str) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|old| old == content.as_bytes()) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, content))
        .map_err(|error| Error::in_file(path, format!("cannot write: {error}")))
}
