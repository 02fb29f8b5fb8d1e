//! `spanwire.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use spanwire_codegen::{Error, Generator, position};

/// What `spanwire.toml` says about `gen`; paths are relative to the current folder.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// Files and folders to generate from.
    pub(crate) sources: Vec<PathBuf>,
    /// Folders to search imports in.
    pub(crate) includes: Vec<PathBuf>,
    /// What to generate.
    pub(crate) outputs: Vec<Output>,
}

/// One language and where its code goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    /// A name of [`Generator::LANGUAGES`].
    pub(crate) lang: String,
    /// The folder to write to.
    pub(crate) out: PathBuf,
    /// `key=value` each.
    pub(crate) options: Vec<String>,
}

/// The file as it is written. Other subcommands will have tables of their own beside `gen`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileFormat {
    #[serde(default)]
    r#gen: GenTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GenTable {
    sources: Vec<PathBuf>,
    includes: Vec<PathBuf>,
    output: Vec<OutputTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputTable {
    lang: toml::Spanned<String>,
    out: PathBuf,
    #[serde(default)]
    options: Vec<String>,
}

impl Config {
    /// The name of the file that is taken without `--config`.
    pub(crate) const NAME: &'static str = "spanwire.toml";

    /// Reads a configuration file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read, or with the position of what is wrong in it.
    pub(crate) fn read(path: &Path) -> Result<Config, Error> {
        let text = fs::read_to_string(path)
            .map_err(|error| Error::in_file(path, format!("cannot read: {error}")))?;
        let at = |offset: usize, message: String| Error::at(path, position(&text, offset), message);
        let file: FileFormat = toml::from_str(&text).map_err(|error| {
            let message = error.message().replace('\n', " ");
            at(error.span().map_or(0, |span| span.start), message)
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let rebase = |paths: Vec<PathBuf>| paths.into_iter().map(|path| folder.join(path)).collect();
        let mut outputs = Vec::new();
        for OutputTable { lang, out, options } in file.r#gen.output {
            if let Err(error) = Generator::new(lang.as_ref()) {
                return Err(at(lang.span().start, error.to_string()));
            }
            outputs.push(Output { lang: lang.into_inner(), out: folder.join(out), options });
        }
        Ok(Config { sources: rebase(file.r#gen.sources), includes: rebase(file.r#gen.includes), outputs })
    }
}
