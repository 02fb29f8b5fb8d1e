//! `spanwire gen`: what to generate comes from flags and from `spanwire.toml`; flags win.

use std::path::{Path, PathBuf};

use clap::Args;
use spanwire_codegen::{Generator, compile};

use crate::Failure;
use crate::config::{Config, Output};
use crate::{output, sources};

/// The arguments of `spanwire gen`.
///
/// Without arguments, everything comes from spanwire.toml in the current folder:
///
///   [gen]
///   sources = ["proto"]
///   includes = ["proto"]
///
///   [[gen.output]]
///   lang = "rust"
///   out = "src/generated"
///   options = ["bytes=."]
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[allow(rustdoc::broken_intra_doc_links, reason = "the doc comment is the text of --help")]
pub(crate) struct Arguments {
    /// .proto files, and folders whose .proto files are all taken
    #[arg(value_name = "FILE_OR_DIR")]
    sources: Vec<PathBuf>,

    /// Language to generate [default: all of spanwire.toml, or rust]
    #[arg(long, value_name = "LANG", value_parser = Generator::LANGUAGES.to_vec())]
    lang: Option<String>,

    /// Folder to write to; it is made if it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Folder to search imports in; may be repeated [default: the given folders, and the folders of the given files]
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    includes: Vec<PathBuf>,

    /// Option of the language, such as bytes=.shop.v1; may be repeated
    #[arg(long = "opt", value_name = "KEY=VALUE")]
    options: Vec<String>,

    /// Configuration file [default: spanwire.toml in the current folder, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Write nothing; compare with what is on disk, print what differs, and exit with 1 if anything does
    #[arg(long)]
    check: bool,
}

/// Runs `spanwire gen`.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None if Path::new(Config::NAME).is_file() => Config::read(Path::new(Config::NAME))?,
        None => Config::default(),
    };
    let outputs = outputs(&arguments, config.outputs)?;
    let given = if arguments.sources.is_empty() { config.sources } else { arguments.sources };
    if given.is_empty() {
        return Err(Failure::Usage(format!(
            "nothing to generate from: name .proto files or folders, or write {}",
            Config::NAME
        )));
    }
    let includes = if arguments.includes.is_empty() { config.includes } else { arguments.includes };
    let sources = sources::find(&given, includes)?;
    let descriptors = compile(&sources.files, &sources.includes)?;

    let mut differences = 0;
    for output in outputs {
        let mut generator = Generator::new(&output.lang)?;
        for option in &output.options {
            generator.set(option).map_err(|error| Failure::Usage(error.to_string()))?;
        }
        let files = generator.generate(&descriptors)?;
        if arguments.check {
            differences += output::compare(&output.out, &files)?;
        } else {
            output::write(&output.out, &files)?;
        }
    }
    match differences {
        0 => Ok(()),
        1 => Err(Failure::Failed("1 file is not up to date; run spanwire gen".into())),
        count => Err(Failure::Failed(format!("{count} files are not up to date; run spanwire gen"))),
    }
}

/// The outputs of the configuration as the flags change them: `--lang` chooses among them, `--out` and `--opt`
/// change the one that is chosen.
fn outputs(arguments: &Arguments, configured: Vec<Output>) -> Result<Vec<Output>, Failure> {
    let mut outputs = configured;
    if let Some(lang) = &arguments.lang {
        outputs.retain(|output| output.lang == *lang);
    }
    if outputs.is_empty() {
        let lang = arguments.lang.clone().unwrap_or_else(|| "rust".to_owned());
        let Some(out) = arguments.out.clone() else {
            return Err(Failure::Usage("no folder to write to: give --out DIR".into()));
        };
        return Ok(vec![Output { lang, out, options: arguments.options.clone() }]);
    }
    if outputs.len() > 1 && (arguments.out.is_some() || !arguments.options.is_empty()) {
        return Err(Failure::Usage(format!(
            "--out and --opt change one output, and {} has several: choose one with --lang",
            Config::NAME
        )));
    }
    if let [output] = outputs.as_mut_slice() {
        if let Some(out) = &arguments.out {
            output.out.clone_from(out);
        }
        output.options.extend(arguments.options.iter().cloned());
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(lang: Option<&str>, out: Option<&str>, options: &[&str]) -> Arguments {
        Arguments {
            sources: Vec::new(),
            lang: lang.map(str::to_owned),
            out: out.map(PathBuf::from),
            includes: Vec::new(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            config: None,
            check: false,
        }
    }

    fn configured(out: &str) -> Output {
        Output { lang: "rust".into(), out: out.into(), options: vec!["a=1".into()] }
    }

    #[test]
    fn flags_override_the_configured_output() {
        let result = outputs(&arguments(None, Some("new"), &["b=2"]), vec![configured("old")]).unwrap();
        assert_eq!(
            result,
            [Output { lang: "rust".into(), out: "new".into(), options: vec!["a=1".into(), "b=2".into()] }]
        );
    }

    #[test]
    fn out_without_configuration_means_rust() {
        assert_eq!(outputs(&arguments(None, Some("x"), &[]), Vec::new()).unwrap()[0].lang, "rust");
        assert!(matches!(outputs(&arguments(None, None, &[]), Vec::new()), Err(Failure::Usage(_))));
    }

    #[test]
    fn out_is_ambiguous_with_two_outputs() {
        let two = || vec![configured("a"), configured("b")];
        assert!(matches!(outputs(&arguments(None, Some("x"), &[]), two()), Err(Failure::Usage(_))));
        assert_eq!(outputs(&arguments(None, None, &[]), two()).unwrap().len(), 2);
    }
}
