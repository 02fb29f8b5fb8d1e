//! Which of several service configs is for this client (gRFC A2): what DNS has of them.

use serde_json::Value;

use super::ServiceConfigError;
use crate::json::At;

/// What a text record with choices begins with.
const BEGINNING: &[u8] = b"grpc_config=";

/// Whom a config is chosen for.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The language of the program, as `clientLanguage` has it.
    pub(crate) language: &'static str,
    /// As the machine calls itself.
    pub(crate) hostname: String,
    /// From 0 to 99: configs for a percentage above it are for this client.
    pub(crate) lot: u8,
}

/// The config for this client, as JSON, of the records that a name has; `None` if they have none for it. Of several
/// records with choices the first in the order of their bytes counts, so that it is always the same.
///
/// # Errors
/// The choices cannot be read; where they are wrong.
pub(crate) fn choose(records: &[Vec<u8>], client: &Client) -> Result<Option<String>, ServiceConfigError> {
    let Some(choices) = records.iter().filter_map(|record| record.strip_prefix(BEGINNING)).min() else {
        return Ok(None);
    };
    let value: Value = serde_json::from_slice(choices)
        .map_err(|error| ServiceConfigError(format!("grpc_config: this is no JSON: {error}")))?;
    let holder = serde_json::json!({ "grpc_config": value });
    for_client(&At::root(&holder), client).map_err(ServiceConfigError)
}

fn for_client(holder: &At<'_>, client: &Client) -> Result<Option<String>, String> {
    let mut chosen = None;
    // All are read, so that a mistake does not wait for the client that it is for.
    for choice in holder.list("grpc_config")? {
        choice.object()?;
        let config = choice.need("serviceConfig")?;
        config.object()?;
        let language = |name: &str| name.eq_ignore_ascii_case(client.language);
        let hostname = |name: &str| name == client.hostname;
        let fits = lists(&choice, "clientLanguage", language)?
            & lists(&choice, "clientHostname", hostname)?
            // As grpc-go spells it.
            & lists(&choice, "clientHostName", hostname)?
            & percentage(&choice)?.is_none_or(|percentage| percentage > client.lot.into());
        if fits && chosen.is_none() {
            chosen = Some(config.json());
        }
    }
    Ok(chosen)
}

/// Whether a list names what is wanted, or is not there.
fn lists(choice: &At<'_>, field: &str, wanted: impl Fn(&str) -> bool) -> Result<bool, String> {
    let mut found = choice.get(field).is_none();
    for name in choice.list(field)? {
        found |= wanted(name.text()?);
    }
    Ok(found)
}

fn percentage(choice: &At<'_>) -> Result<Option<u64>, String> {
    let Some(percentage) = choice.get("percentage") else { return Ok(None) };
    let wrong = "a whole number from 0 to 100";
    match percentage.whole(0, wrong)? {
        number @ 0..=100 => Ok(Some(number)),
        _ => Err(percentage.wrong(&format!("must be {wrong}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_one(records: &[&str]) -> Result<Option<String>, String> {
        let records: Vec<_> = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        let client = Client { language: "rust", hostname: "host-7".to_owned(), lot: 40 };
        choose(&records, &client).map_err(|error| error.to_string())
    }

    fn chosen(choices: &str) -> Option<String> {
        choose_one(&[&format!("grpc_config={choices}")]).unwrap()
    }

    /// A choice with a config that has `name` in it.
    fn choice(conditions: &str, name: &str) -> String {
        format!(r#"{{{conditions}"serviceConfig":{{"name":"{name}"}}}}"#)
    }

    #[test]
    fn first_choice_that_fits_counts() {
        let config = |name: &str| Some(format!(r#"{{"name":"{name}"}}"#));
        assert_eq!(chosen(&format!("[{}, {}]", choice("", "a"), choice("", "b"))), config("a"));
        for (conditions, fits) in [
            (r#""clientLanguage": ["go", "RUST"], "#, true),
            (r#""clientLanguage": ["go"], "#, false),
            (r#""clientLanguage": [], "#, false),
            (r#""clientHostname": ["host-7"], "#, true),
            (r#""clientHostName": ["host-8"], "#, false),
            (r#""clientHostname": ["host-8"], "#, false),
            (r#""percentage": 41, "#, true),
            (r#""percentage": 40, "#, false),
            (r#""percentage": 0, "#, false),
            (r#""percentage": 100, "#, true),
            (r#""percentage": 100, "clientLanguage": ["java"], "#, false),
        ] {
            let found = chosen(&format!("[{}, {}]", choice(conditions, "a"), choice("", "b")));
            assert_eq!(found, config(if fits { "a" } else { "b" }), "{conditions}");
        }
        assert_eq!(chosen("[]"), None);
        assert_eq!(chosen(&format!("[{}]", choice(r#""percentage": 0, "#, "a"))), None);
    }

    #[test]
    fn language_is_that_of_the_program() {
        let record =
            format!("grpc_config=[{}]", choice(r#""clientLanguage": ["python"], "#, "a")).into_bytes();
        for (language, fits) in [("python", true), ("node", false), ("rust", false)] {
            let client = Client { language, hostname: String::new(), lot: 0 };
            let found = choose(std::slice::from_ref(&record), &client).unwrap();
            assert_eq!(found.is_some(), fits, "{language}");
        }
    }

    #[test]
    fn records_of_other_kinds_are_left_alone() {
        assert_eq!(choose_one(&[]), Ok(None));
        assert_eq!(choose_one(&["v=spf1 -all", "grpc_conf=[]"]), Ok(None));
        let (a, b) =
            (format!("grpc_config=[{}]", choice("", "a")), format!("grpc_config=[{}]", choice("", "b")));
        let first = Ok(Some(r#"{"name":"a"}"#.to_owned()));
        assert_eq!(choose_one(&["v=spf1 -all", &a]), first);
        assert_eq!((choose_one(&[&a, &b]), choose_one(&[&b, &a])), (first.clone(), first));
    }

    #[test]
    fn mistakes_are_told_by_their_place() {
        for (choices, problem) in [
            ("{", "grpc_config: this is no JSON: EOF while parsing an object at line 1 column 1"),
            ("{}", "grpc_config: must be a list"),
            ("[7]", "grpc_config[0]: must be an object, and is 7"),
            ("[{}]", "grpc_config[0]: has no serviceConfig"),
            (r#"[{"serviceConfig": []}]"#, "grpc_config[0].serviceConfig: must be an object"),
            (
                r#"[{"percentage": 101, "serviceConfig": {}}]"#,
                "grpc_config[0].percentage: must be a whole number from 0 to 100, and is 101",
            ),
            (
                r#"[{"serviceConfig": {}}, {"clientLanguage": "go", "serviceConfig": {}}]"#,
                "grpc_config[1].clientLanguage: must be a list, and is \"go\"",
            ),
        ] {
            let found = choose_one(&[&format!("grpc_config={choices}")]);
            assert_eq!(found, Err(format!("service_config: {problem}")));
        }
    }
}
