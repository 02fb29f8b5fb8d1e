// Time zones and where they are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

// A point on the Earth, in degrees.
struct place {
  double latitude = 0;
  double longitude = 0;

  // Whether there is such a place.
  bool on_earth() const;
  // Kilometres along a great circle, by the haversine formula.
  double distance_km(place to) const;
};

// A time zone and its principal location.
struct zone {
  std::string name;                    // such as `Europe/Zurich`
  std::vector<std::string> countries;  // ISO 3166 codes
  ::place place;
};

// A zone and how far it is from a place.
struct zone_at {
  const ::zone *zone = nullptr;
  double distance_km = 0;
};

// All zones, in the order of their names.
class atlas {
 public:
  // Reads `zones.tsv`: name, countries, latitude and longitude, with tabs between them; `#` starts a comment.
  // Throws std::runtime_error for a file that cannot be used.
  explicit atlas(const std::string &path);

  // The zone of this name; null if there is none.
  const zone *named(std::string_view name) const;
  // All zones with their distances, nearest first; equally near ones by name.
  std::vector<zone_at> around(place from) const;
  // The nearest zone; its zone is null if there are none at all.
  zone_at nearest(place from) const;

 private:
  std::vector<zone> zones_;
};
