#include "atlas.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numbers>
#include <sstream>
#include <stdexcept>

namespace {

// The mean radius of the Earth, in kilometres.
constexpr double earth_radius_km = 6371.0088;
constexpr double degree = std::numbers::pi / 180;

std::vector<std::string> split(const std::string &text, char separator) {
  std::vector<std::string> parts;
  std::istringstream rest(text);
  for (std::string part; std::getline(rest, part, separator);) parts.push_back(part);
  return parts;
}

// Throws std::logic_error if the line is no zone.
zone parse(const std::string &line) {
  const std::vector<std::string> fields = split(line, '\t');
  if (fields.size() != 4) throw std::invalid_argument("four fields are due");
  const zone made{fields[0], split(fields[1], ','), {std::stod(fields[2]), std::stod(fields[3])}};
  if (!made.place.on_earth()) throw std::invalid_argument("that is not on Earth");
  return made;
}

bool is_nearer(const zone_at &one, const zone_at &other) { return one.distance_km < other.distance_km; }

}  // namespace

bool place::on_earth() const {
  // Not a number is nowhere.
  return latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180;
}

double place::distance_km(place to) const {
  const double half_turn = std::sin((to.longitude - longitude) * degree / 2);
  const double half_climb = std::sin((to.latitude - latitude) * degree / 2);
  const double square = half_climb * half_climb +
                        std::cos(latitude * degree) * std::cos(to.latitude * degree) * half_turn * half_turn;
  // Rounding may lift the antipode a little above 1.
  return 2 * earth_radius_km * std::asin(std::min(std::sqrt(square), 1.0));
}

atlas::atlas(const std::string &path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    number++;
    if (line.empty() || line.starts_with('#')) continue;
    try {
      zones_.push_back(parse(line));
    } catch (const std::logic_error &problem) {
      throw std::runtime_error(path + ":" + std::to_string(number) + ": " + problem.what());
    }
  }
  std::ranges::sort(zones_, {}, &zone::name);
}

const zone *atlas::named(std::string_view name) const {
  const auto found = std::ranges::lower_bound(zones_, name, {}, &zone::name);
  return found != zones_.end() && found->name == name ? &*found : nullptr;
}

std::vector<zone_at> atlas::around(place from) const {
  std::vector<zone_at> found;
  for (const zone &zone : zones_) found.push_back({&zone, from.distance_km(zone.place)});
  // The zones are in the order of their names, and equally near ones stay so.
  std::ranges::stable_sort(found, is_nearer);
  return found;
}

zone_at atlas::nearest(place from) const {
  zone_at nearest{nullptr, HUGE_VAL};
  for (const zone &zone : zones_) {
    const zone_at found{&zone, from.distance_km(zone.place)};
    if (is_nearer(found, nearest)) nearest = found;
  }
  return nearest;
}
