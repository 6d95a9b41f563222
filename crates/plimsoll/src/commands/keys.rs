//! `plimsoll keys`: which keys there are, and wrapping the data keys anew. The act goes to the
//! ledger; no key is ever shown.

use plimsoll_protection::{KeyStanding, Keyring};
use serde_json::{Map, Value, json};

use crate::cli::{Keys, KeysAt, Output};
use crate::commands::acts::{Done, tell};
use crate::commands::ask::{data_dir, runtime, say, say_json};
use crate::exit::Failure;
use crate::memory::{keks_of_environment, keyring_options};

pub(crate) fn run(command: &Keys) -> Result<(), Failure> {
    match command {
        Keys::List(arguments) => list(arguments),
        Keys::Rotate(arguments) => rotate(arguments),
    }
}

fn list(arguments: &KeysAt) -> Result<(), Failure> {
    let directory = data_dir(arguments.data_dir.as_deref())?;
    let options = keyring_options(&directory)?;
    let standing = Keyring::standing(&options, &keks_of_environment()?).map_err(Failure::failed)?;
    if arguments.output == Output::Json {
        return say_json(&as_json(&standing));
    }
    say(format!("keys in {}", standing.file.display()))?;
    for kek in &standing.keks {
        let wraps = match kek.wraps {
            0 => "wraps nothing: it can be taken away".to_owned(),
            1 => "wraps 1 data key".to_owned(),
            many => format!("wraps {many} data keys"),
        };
        say(format!("  key-encrypting key {} ({}): {wraps}", kek.id, kek.place))?;
    }
    for id in &standing.data {
        say(format!("  data key {id}"))?;
    }
    if standing.is_old_form {
        say("The key is of the old form and its own data key; `plimsoll keys rotate` parts them.")?;
    }
    Ok(())
}

fn as_json(standing: &KeyStanding) -> Value {
    let keks = standing.keks.iter();
    let keks: Vec<Value> = keks
        .map(|kek| json!({ "id": kek.id, "place": kek.place.to_string(), "wraps": kek.wraps }))
        .collect();
    json!({
        "file": standing.file, "key_encrypting_keys": keks, "data_keys": standing.data,
        "old_form": standing.is_old_form,
    })
}

fn rotate(arguments: &KeysAt) -> Result<(), Failure> {
    let directory = data_dir(arguments.data_dir.as_deref())?;
    let options = keyring_options(&directory)?;
    let rotated = Keyring::rotate(&options, &keks_of_environment()?).map_err(Failure::failed)?;
    let mut detail = Map::new();
    detail.insert("before".into(), rotated.before.clone().into());
    detail.insert("data_keys".into(), rotated.data_keys.into());
    let done = Done { act: "keys.rotate", subject: rotated.now.clone(), detail };
    runtime()?.block_on(tell(&directory, done));
    if arguments.output == Output::Json {
        return say_json(&json!({
            "file": rotated.file, "key_encrypting_key": rotated.now, "before": rotated.before,
            "data_keys": rotated.data_keys,
        }));
    }
    say(format!(
        "{} wrapped by key-encrypting key {} now, in {}; before: {}",
        if rotated.data_keys == 1 {
            "1 data key is".to_owned()
        } else {
            format!("{} data keys are", rotated.data_keys)
        },
        rotated.now,
        rotated.file.display(),
        rotated.before.join(", ")
    ))?;
    say("Keep a copy of that file elsewhere, and hand it to every node that shares it.")
}
