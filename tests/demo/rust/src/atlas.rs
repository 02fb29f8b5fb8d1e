//! Time zones and where they are.

use std::fmt;
use std::path::Path;

/// The mean radius of the Earth, in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A point on the Earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    latitude: f64,
    longitude: f64,
}

impl Place {
    /// `None` if that is not on the Earth.
    #[must_use]
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let on_earth = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        on_earth.then_some(Place { latitude, longitude })
    }

    /// Degrees north of the equator.
    #[must_use]
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich.
    #[must_use]
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// Kilometres to `other` along a great circle, by the haversine formula.
    #[must_use]
    pub fn distance_km(self, other: Place) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_turn = ((other.longitude - self.longitude).to_radians() / 2.0).sin();
        let half_climb = ((to - from) / 2.0).sin();
        let square = half_climb * half_climb + from.cos() * to.cos() * half_turn * half_turn;
        // Rounding may lift the antipode a little above 1.
        2.0 * EARTH_RADIUS_KM * square.sqrt().min(1.0).asin()
    }
}

/// A time zone and its principal location.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneRecord {
    /// Such as `Europe/Zurich`.
    pub name: String,
    /// ISO 3166 codes.
    pub countries: Vec<String>,
    /// The principal location.
    pub place: Place,
}

/// All zones, in the order of their names.
#[derive(Clone, Debug)]
pub struct Atlas {
    zones: Vec<ZoneRecord>,
}

/// A data file that cannot be used.
#[derive(Debug)]
pub struct BadData(String);

impl fmt::Display for BadData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadData {}

impl Atlas {
    /// Reads `zones.tsv`: name, countries, latitude and longitude, with tabs between them; `#` starts a comment.
    ///
    /// # Errors
    /// The file cannot be read, or a line is wrong; the text says which.
    pub fn read(path: &Path) -> Result<Self, BadData> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadData(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text).map_err(|BadData(problem)| BadData(format!("{}:{problem}", path.display())))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// A line is wrong; the text begins with its number.
    pub fn parse(text: &str) -> Result<Self, BadData> {
        let mut zones = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let zone = parse_line(line).ok_or_else(|| {
                BadData(format!("{}: not `name countries latitude longitude`: {line:?}", number + 1))
            })?;
            zones.push(zone);
        }
        zones.sort_by(|a: &ZoneRecord, b| a.name.cmp(&b.name));
        Ok(Atlas { zones })
    }

    /// The zone of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&ZoneRecord> {
        let index = self.zones.binary_search_by(|zone| zone.name.as_str().cmp(name)).ok()?;
        self.zones.get(index)
    }

    /// All zones with their distances from `place`, nearest first; equally near ones by name.
    #[must_use]
    pub fn around(&self, place: Place) -> Vec<(&ZoneRecord, f64)> {
        let mut found: Vec<_> = self.zones.iter().map(|zone| (zone, place.distance_km(zone.place))).collect();
        // The sort is stable, and the zones are in the order of their names.
        found.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        found
    }

    /// The nearest zone and its distance; `None` if there are no zones at all.
    #[must_use]
    pub fn nearest(&self, place: Place) -> Option<(&ZoneRecord, f64)> {
        let with_distance = self.zones.iter().map(|zone| (zone, place.distance_km(zone.place)));
        // The first of several minima is the one that comes first by name.
        with_distance.min_by(|(_, a), (_, b)| a.total_cmp(b))
    }
}

fn parse_line(line: &str) -> Option<ZoneRecord> {
    let mut fields = line.split('\t');
    let zone = ZoneRecord {
        name: fields.next()?.to_owned(),
        countries: fields.next()?.split(',').map(str::to_owned).collect(),
        place: Place::new(fields.next()?.parse().ok()?, fields.next()?.parse().ok()?)?,
    };
    fields.next().is_none().then_some(zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atlas() -> Atlas {
        Atlas::parse("# comment\nB/East\tXX\t0\t10\nA/West\tXX,YY\t0\t-10\nC/Pole\tZZ\t90\t0\n").unwrap()
    }

    #[test]
    fn equally_near_zones_come_by_name() {
        let names = |place: Place| -> Vec<String> {
            atlas().around(place).into_iter().map(|(zone, _)| zone.name.clone()).collect()
        };
        assert_eq!(names(Place::new(0.0, 0.0).unwrap()), ["A/West", "B/East", "C/Pole"]);
        assert_eq!(atlas().nearest(Place::new(0.0, 0.0).unwrap()).unwrap().0.name, "A/West");
    }

    #[test]
    fn a_quarter_of_a_great_circle_is_ten_thousand_kilometres() {
        let quarter = Place::new(0.0, 0.0).unwrap().distance_km(Place::new(90.0, 0.0).unwrap());
        assert!((quarter - 10_007.557).abs() < 0.001, "{quarter}");
    }

    #[test]
    fn antipodes_have_half_the_circumference_between_them() {
        let half = Place::new(0.0, 0.0).unwrap().distance_km(Place::new(0.0, 180.0).unwrap());
        assert!((half - 20_015.115).abs() < 0.001, "{half}");
    }

    #[test]
    fn places_off_the_earth_are_none() {
        assert_eq!(Place::new(90.1, 0.0), None);
        assert_eq!(Place::new(0.0, -180.1), None);
        assert_eq!(Place::new(f64::NAN, 0.0), None);
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(
            Atlas::parse("A/B\tXX\t0\t0\nA/C\tXX\tnorth\t0\n").unwrap_err().to_string(),
            "2: not `name countries latitude longitude`: \"A/C\\tXX\\tnorth\\t0\""
        );
    }
}
