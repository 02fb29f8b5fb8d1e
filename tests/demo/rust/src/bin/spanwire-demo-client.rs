//! Makes the calls of a work file, one after the other, and prints a report as JSON.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use serde_json::{Value, json};
use spanwire::{Channel, Status};
use spanwire_demo::work::{NearQuestion, Report, Reports, Work};
use spanwire_demo::zones::{GetZone, NearZones, Position, Zone, ZonesClient};

#[derive(Parser)]
struct Flags {
    /// The server, as host:port.
    #[arg(long)]
    target: String,
    /// The work file.
    #[arg(long)]
    work: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let work: Work = serde_json::from_str(&std::fs::read_to_string(&flags.work)?)?;
    let client = ZonesClient::new(Channel::new(&flags.target)?);
    // Connecting is not what is timed.
    client.get(GetZone { name: "Europe/Zurich".to_owned() }).wait_for_ready(true).await?;

    let reports = Reports {
        get: report(work.get, |name| get(&client, name)).await,
        near: report(work.near, |question| near(&client, question)).await,
        journey: report(work.journey, |positions| journey(&client, positions)).await,
        locate: report(work.locate, |positions| locate(&client, positions)).await,
    };
    println!("{}", serde_json::to_string(&reports)?);
    Ok(())
}

/// Messages of a call, both ways, and its answer.
type Answer = (usize, Result<Value, Status>);

async fn report<T, Call, Done>(work: Vec<T>, call: Call) -> Report
where
    Call: Fn(T) -> Done,
    Done: Future<Output = Answer>,
{
    let mut report = Report { calls: work.len(), ..Report::default() };
    let began = Instant::now();
    for item in work {
        let (messages, answer) = call(item).await;
        report.messages += messages;
        report.answers.push(answer.unwrap_or_else(|status| json!({ "code": status.code().as_u32() })));
    }
    report.seconds = began.elapsed().as_secs_f64();
    report
}

async fn get(client: &ZonesClient, name: String) -> Answer {
    match client.get(GetZone { name }).await {
        Ok(zone) => (2, Ok(whole(&zone))),
        Err(status) => (1, Err(status)),
    }
}

async fn near(client: &ZonesClient, question: NearQuestion) -> Answer {
    let NearQuestion { position, count, radius_km } = question;
    let request = NearZones { position: Some(to_message(position)), count, radius_km };
    let mut answers = Vec::new();
    let result = async {
        let mut zones = client.near(request).await?;
        while let Some(zone) = zones.next().await? {
            answers.push(distance(&zone));
        }
        Ok(())
    };
    let result = result.await;
    (1 + answers.len(), result.map(|()| Value::from(answers)))
}

async fn journey(client: &ZonesClient, positions: Vec<[f64; 2]>) -> Answer {
    let sent = positions.len();
    let result = async {
        let mut call = client.journey().await?;
        for position in positions {
            call.send(to_message(position)).await?;
        }
        call.finish().await
    };
    match result.await {
        Ok(summary) => (sent + 1, Ok(json!([summary.legs, summary.kilometres, summary.zones]))),
        Err(status) => (sent, Err(status)),
    }
}

async fn locate(client: &ZonesClient, positions: Vec<[f64; 2]>) -> Answer {
    let mut messages = 0;
    let result = async {
        let mut call = client.locate().await?;
        let mut answers = Vec::new();
        for position in positions {
            call.send(to_message(position)).await?;
            messages += 1;
            let Some(zone) = call.next().await? else { break };
            messages += 1;
            answers.push(distance(&zone));
        }
        call.half_close();
        match call.next().await? {
            None => Ok(Value::from(answers)),
            Some(_) => Err(Status::internal("a zone came that nobody asked for")),
        }
    };
    let result = result.await;
    (messages, result)
}

fn to_message([latitude, longitude]: [f64; 2]) -> Position {
    Position { latitude, longitude }
}

/// A zone as `Get` answers: everything.
fn whole(zone: &Zone) -> Value {
    let position = zone.position.unwrap_or_default();
    json!([zone.name, zone.countries, position.latitude, position.longitude, zone.distance_km])
}

/// A zone as the answers about places have it.
fn distance(zone: &Zone) -> Value {
    json!([zone.name, zone.distance_km])
}
