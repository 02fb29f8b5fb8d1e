//! The frame that the languages fit into.

use crate::c::C;
use crate::cpp::Cpp;
use crate::python::Python;
use crate::rust::Rust;
use crate::{Descriptors, Error};

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// The path below the output folder, with `/` between its parts.
    pub path: String,
    /// The whole text.
    pub content: String,
}

/// Turns descriptors into code of one language.
///
/// The same descriptors and options give the same bytes, on every machine and in every order of input files.
pub trait Language {
    /// The name by which users choose it, in lower case.
    fn name(&self) -> &'static str;

    /// Sets an option. What the options are is up to the language.
    ///
    /// # Errors
    /// When there is no such option, or it does not take this value.
    fn set_option(&mut self, key: &str, value: &str) -> Result<(), Error>;

    /// Changes defaults for a compiler plugin, which is called per file or per folder and must not write a file twice.
    fn for_plugin(&mut self) {}

    /// The files for the requested files of `descriptors`, sorted by path.
    ///
    /// # Errors
    /// When the descriptors cannot be expressed in the language.
    fn generate(&self, descriptors: &Descriptors) -> Result<Vec<GeneratedFile>, Error>;
}

/// A language by its name, with options: what the command line, the plugin and build scripts drive.
pub struct Generator {
    language: Box<dyn Language>,
}

impl Generator {
    /// The names of all languages.
    pub const LANGUAGES: &'static [&'static str] = &["c", "cpp", "python", "rust"];

    /// A generator with the options of the language at their defaults.
    ///
    /// # Errors
    /// When there is no such language; the message lists those that there are.
    pub fn new(language: &str) -> Result<Self, Error> {
        let language: Box<dyn Language> = match language {
            "c" => Box::new(C::default()),
            "cpp" => Box::new(Cpp),
            "python" => Box::new(Python::default()),
            "rust" => Box::new(Rust::default()),
            _ => {
                let there_are = Generator::LANGUAGES.join(", ");
                return Err(Error::new(format!(
                    "no language {language:?}; there are: {there_are}; for Node: npx spanwire gen"
                )));
            }
        };
        Ok(Generator { language })
    }

    /// The name of the language.
    #[must_use]
    pub fn language(&self) -> &'static str {
        self.language.name()
    }

    /// Changes defaults for a compiler plugin.
    pub(crate) fn for_plugin(&mut self) {
        self.language.for_plugin();
    }

    /// Sets an option given as `key=value`; a key alone means `key=true`.
    ///
    /// # Errors
    /// When the language has no such option, or it does not take this value.
    pub fn set(&mut self, option: &str) -> Result<(), Error> {
        let (key, value) = option.split_once('=').unwrap_or((option, "true"));
        self.language.set_option(key.trim(), value.trim())
    }

    /// The files for the requested files of `descriptors`, sorted by path.
    ///
    /// # Errors
    /// When the descriptors cannot be expressed in the language.
    pub fn generate(&self, descriptors: &Descriptors) -> Result<Vec<GeneratedFile>, Error> {
        self.language.generate(descriptors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_language_exists_under_its_name() {
        for name in Generator::LANGUAGES {
            assert_eq!(Generator::new(name).unwrap().language(), *name);
        }
    }

    #[test]
    fn an_unknown_language_or_option_is_named_in_the_error() {
        let error = Generator::new("cobol").err().unwrap().to_string();
        assert_eq!(
            error,
            "no language \"cobol\"; there are: c, cpp, python, rust; for Node: npx spanwire gen"
        );
        let error = Generator::new("rust").unwrap().set("colour=red").unwrap_err().to_string();
        assert!(error.starts_with("rust has no option \"colour\""), "{error}");
    }
}
