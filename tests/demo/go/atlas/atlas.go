// Package atlas knows time zones and where they are.
package atlas

import (
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
)

const earthRadiusKm = 6371.0088

// Place is a point, in degrees north and east; check OnEarth before use.
type Place struct {
	Latitude, Longitude float64
}

// OnEarth says whether there is such a point.
func (p Place) OnEarth() bool {
	return math.Abs(p.Latitude) <= 90 && math.Abs(p.Longitude) <= 180
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

// DistanceKm is the way to another place along a great circle, by the haversine formula.
func (p Place) DistanceKm(other Place) float64 {
	start, end := radians(p.Latitude), radians(other.Latitude)
	halfTurn := math.Sin(radians(other.Longitude-p.Longitude) / 2)
	halfClimb := math.Sin((end - start) / 2)
	square := halfClimb*halfClimb + math.Cos(start)*math.Cos(end)*halfTurn*halfTurn
	// Rounding may lift the antipode a little above 1.
	return 2 * earthRadiusKm * math.Asin(math.Min(1, math.Sqrt(square)))
}

// Zone is a time zone and its principal location.
type Zone struct {
	Name      string
	Countries []string
	Place     Place
}

// At is a zone and how far it is away.
type At struct {
	Zone       *Zone
	DistanceKm float64
}

// Atlas has all zones, in the order of their names.
type Atlas struct {
	zones  []*Zone
	byName map[string]*Zone
}

// Read reads zones.tsv.
func Read(path string) (*Atlas, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	atlas := &Atlas{byName: map[string]*Zone{}}
	for number, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		zone, err := parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number+1, err)
		}
		atlas.zones = append(atlas.zones, zone)
		atlas.byName[zone.Name] = zone
	}
	sort.Slice(atlas.zones, func(i, j int) bool { return atlas.zones[i].Name < atlas.zones[j].Name })
	return atlas, nil
}

func parse(line string) (*Zone, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 4 {
		return nil, fmt.Errorf("%d fields, not 4", len(fields))
	}
	latitude, err := strconv.ParseFloat(fields[2], 64)
	if err != nil {
		return nil, err
	}
	longitude, err := strconv.ParseFloat(fields[3], 64)
	if err != nil {
		return nil, err
	}
	return &Zone{fields[0], strings.Split(fields[1], ","), Place{latitude, longitude}}, nil
}

// Named is the zone of this name, or nil.
func (a *Atlas) Named(name string) *Zone { return a.byName[name] }

// Around lists all zones with their distances, nearest first, equally near ones by name.
func (a *Atlas) Around(place Place) []At {
	found := make([]At, len(a.zones))
	for i, zone := range a.zones {
		found[i] = At{zone, place.DistanceKm(zone.Place)}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].DistanceKm < found[j].DistanceKm })
	return found
}

// Nearest is the first of Around.
func (a *Atlas) Nearest(place Place) At {
	nearest := At{nil, math.Inf(1)}
	for _, zone := range a.zones {
		if distance := place.DistanceKm(zone.Place); distance < nearest.DistanceKm {
			nearest = At{zone, distance}
		}
	}
	return nearest
}
