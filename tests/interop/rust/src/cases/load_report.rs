//! Load reports of the backend. The official cases look at them where a balancer sees them; here they are
//! read off the wire: the trailer, and the stream of reports.

use std::time::Duration;

use prost::Message;
use tokio::time::{Instant, timeout_at};

use crate::orca::{LoadReport, LoadReportRequest, STREAM_CORE_METRICS, Span, TRAILER};
use crate::outcome::{Failure, Outcome, check, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{
    ResponseParameters, SimpleRequest, StreamingOutputCallRequest, TestOrcaReport, TestServiceClient,
};

fn report(cpu: f64, memory: f64, utilization: f64) -> TestOrcaReport {
    TestOrcaReport {
        cpu_utilization: cpu,
        memory_utilization: memory,
        utilization: [("util".to_owned(), utilization)].into(),
        ..TestOrcaReport::default()
    }
}

pub(super) async fn orca_per_rpc(session: &Session) -> Outcome {
    let mut sent = report(0.8210, 0.5847, 0.30499);
    sent.request_cost = [("cost".to_owned(), 3456.32)].into();
    let request = SimpleRequest { orca_per_query_report: Some(sent.clone()), ..SimpleRequest::default() };
    let response = session.client()?.unary_call(request).timeout(CALL_LIMIT).response().await?;
    let Some(found) = response.trailers.get_bin(TRAILER) else {
        return Err(Failure::Failed(format!("the trailers have no {TRAILER}")));
    };
    let found = LoadReport::decode(found).map_err(|error| Failure::Failed(format!("{TRAILER}: {error}")))?;
    check_equal(found, LoadReport::from(sent), TRAILER)
}

pub(super) async fn orca_oob(session: &Session) -> Outcome {
    // The server takes the next report when the second call of somebody else has ended.
    const REPORT_LIMIT: Duration = Duration::from_secs(10);
    let channel = session.channel()?;
    let interval = LoadReportRequest { report_interval: Some(Span { seconds: 0, nanos: 100_000_000 }) };
    let mut reports =
        channel.server_streaming::<_, LoadReport>(&STREAM_CORE_METRICS, interval).timeout(CALL_LIMIT).await?;
    let mut call = TestServiceClient::new(channel).full_duplex_call().timeout(CALL_LIMIT).await?;
    for sent in [report(0.8210, 0.5847, 0.30499), report(0.29309, 0.2, 0.2039)] {
        call.send(StreamingOutputCallRequest {
            orca_oob_report: Some(sent.clone()),
            response_parameters: vec![ResponseParameters { size: 1, ..ResponseParameters::default() }],
            ..StreamingOutputCallRequest::default()
        })
        .await?;
        check(call.next().await?.is_some(), "no response")?;
        let (wanted, limit) = (LoadReport::from(sent), Instant::now() + REPORT_LIMIT);
        while reported(&mut reports, limit).await? != wanted {}
    }
    call.half_close();
    check_equal(call.next().await?, None, "response after the half-close")
}

async fn reported(
    reports: &mut spanwire::Streaming<LoadReport>,
    limit: Instant,
) -> Result<LoadReport, Failure> {
    match timeout_at(limit, reports.next()).await {
        Ok(Ok(Some(report))) => Ok(report),
        Ok(Ok(None)) => Err(Failure::Failed("the stream of reports ended".to_owned())),
        Ok(Err(status)) => Err(status.into()),
        Err(_) => Err(Failure::Failed("the report that was sent did not come back".to_owned())),
    }
}
