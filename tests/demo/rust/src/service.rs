//! The service `spanwire.demo.v1.Zones`.

use spanwire::{Context, Sending, Status, Streaming};

use crate::atlas::{Atlas, Place, ZoneRecord};
use crate::zones::{GetZone, JourneySummary, NearZones, Position, Zone, Zones};

/// Answers from an [`Atlas`].
#[derive(Debug)]
pub struct ZonesService {
    atlas: Atlas,
}

impl ZonesService {
    /// Answers from `atlas`.
    #[must_use]
    pub fn new(atlas: Atlas) -> Self {
        ZonesService { atlas }
    }

    fn nearest(&self, place: Place) -> Result<(&ZoneRecord, f64), Status> {
        self.atlas.nearest(place).ok_or_else(|| Status::not_found("there are no zones"))
    }
}

impl Zones for ZonesService {
    async fn get(&self, request: GetZone, _context: &mut Context) -> Result<Zone, Status> {
        match self.atlas.named(&request.name) {
            Some(zone) => Ok(to_message(zone, None)),
            None => Err(Status::not_found(format!("no zone is called {:?}", request.name))),
        }
    }

    async fn near(
        &self,
        request: NearZones,
        replies: &mut Sending<Zone>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        let place = on_earth(request.position.unwrap_or_default())?;
        let most = if request.count == 0 { usize::MAX } else { request.count as usize };
        let radius = if request.radius_km == 0.0 { f64::INFINITY } else { request.radius_km };
        for (zone, distance) in self.atlas.around(place).into_iter().take(most) {
            if distance > radius {
                break;
            }
            replies.send(to_message(zone, Some(distance))).await?;
        }
        Ok(())
    }

    async fn journey(
        &self,
        requests: &mut Streaming<Position>,
        _context: &mut Context,
    ) -> Result<JourneySummary, Status> {
        let mut summary = JourneySummary::default();
        let mut previous: Option<Place> = None;
        while let Some(position) = requests.next().await? {
            let place = on_earth(position)?;
            if let Some(previous) = previous {
                summary.legs += 1;
                summary.kilometres += previous.distance_km(place);
            }
            previous = Some(place);
            let (zone, _) = self.nearest(place)?;
            if summary.zones.last() != Some(&zone.name) {
                summary.zones.push(zone.name.clone());
            }
        }
        Ok(summary)
    }

    async fn locate(
        &self,
        requests: &mut Streaming<Position>,
        replies: &mut Sending<Zone>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        while let Some(position) = requests.next().await? {
            let (zone, distance) = self.nearest(on_earth(position)?)?;
            replies.send(to_message(zone, Some(distance))).await?;
        }
        Ok(())
    }
}

fn on_earth(position: Position) -> Result<Place, Status> {
    let Position { latitude, longitude } = position;
    Place::new(latitude, longitude).ok_or_else(|| {
        Status::invalid_argument(format!("latitude {latitude}, longitude {longitude} is not on Earth"))
    })
}

fn to_message(zone: &ZoneRecord, distance_km: Option<f64>) -> Zone {
    Zone {
        name: zone.name.clone(),
        countries: zone.countries.clone(),
        position: Some(Position { latitude: zone.place.latitude(), longitude: zone.place.longitude() }),
        distance_km,
    }
}
