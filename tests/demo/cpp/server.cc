// Serves the demo until SIGTERM or Ctrl-C: `server --port=50051 [--data=zones.tsv]`.
#include <cmath>
#include <iostream>

#include "atlas.h"
#include "flags.h"
#include "until_signal.h"
#include "zones.h"

namespace {

using spanwire::bytes;
using spanwire::code;
using spanwire::context;
using spanwire::task;

// The place of a message; ends the call if it is not on Earth.
place place_of(const zones::Position &position) {
  const place place{position.latitude(), position.longitude()};
  if (place.on_earth()) return place;
  throw spanwire::error({code::invalid_argument, "latitude " + std::to_string(place.latitude) + ", longitude " +
                                                     std::to_string(place.longitude) + " is not on Earth"});
}

zones::Zone to_message(const zone &zone) {
  zones::Zone message;
  message.set_name(zone.name);
  message.mutable_countries()->Assign(zone.countries.begin(), zone.countries.end());
  message.mutable_position()->set_latitude(zone.place.latitude);
  message.mutable_position()->set_longitude(zone.place.longitude);
  return message;
}

std::string serialize(const zone_at &at) {
  zones::Zone message = to_message(*at.zone);
  message.set_distance_km(at.distance_km);
  return message.SerializeAsString();
}

class zones_service {
 public:
  explicit zones_service(const std::string &data) : atlas_(data) {}

  // Adds the methods; the service must live as long as the server.
  void add_to(spanwire::server &server) {
    server.unary(ZONES "Get", std::bind_front(&zones_service::get, this)).or_throw();
    server.server_streaming(ZONES "Near", std::bind_front(&zones_service::near, this)).or_throw();
    server.client_streaming(ZONES "Journey", std::bind_front(&zones_service::journey, this)).or_throw();
    server.bidi(ZONES "Locate", std::bind_front(&zones_service::locate, this)).or_throw();
  }

 private:
  task<spanwire::result<bytes>> get(bytes message, context &) {
    const auto request = parse<zones::GetZone>(message);
    const zone *found = atlas_.named(request.name());
    if (found == nullptr) co_return spanwire::status(code::not_found, "no zone is called " + request.name());
    co_return to_message(*found).SerializeAsString();
  }

  task<spanwire::status> near(bytes message, spanwire::writer &zones, context &) {
    const auto request = parse<zones::NearZones>(message);
    const double radius = request.radius_km() == 0 ? HUGE_VAL : request.radius_km();
    uint32_t sent = 0;
    for (const zone_at &at : atlas_.around(place_of(request.position()))) {
      if (at.distance_km > radius || (request.count() != 0 && sent == request.count())) break;
      if (auto status = co_await zones.send(serialize(at)); !status) co_return status;
      sent++;
    }
    co_return {};
  }

  task<spanwire::result<bytes>> journey(spanwire::reader &positions, context &) {
    zones::JourneySummary summary;
    std::optional<place> previous;
    while (const auto message = co_await positions.next()) {
      const place here = place_of(parse<zones::Position>(*message));
      if (previous) {
        summary.set_legs(summary.legs() + 1);
        summary.set_kilometres(summary.kilometres() + previous->distance_km(here));
      }
      previous = here;
      const std::string &name = nearest(here).zone->name;
      if (summary.zones().empty() || *summary.zones().rbegin() != name) summary.add_zones(name);
    }
    co_return summary.SerializeAsString();
  }

  task<spanwire::status> locate(spanwire::reader &positions, spanwire::writer &zones, context &) {
    while (const auto message = co_await positions.next()) {
      const zone_at at = nearest(place_of(parse<zones::Position>(*message)));
      if (auto sent = co_await zones.send(serialize(at)); !sent) co_return sent;
    }
    co_return positions.status();
  }

  zone_at nearest(place from) const {
    const zone_at found = atlas_.nearest(from);
    if (found.zone == nullptr) throw spanwire::error({code::not_found, "there are no zones"});
    return found;
  }

  const atlas atlas_;
};

void serve(const flags &flags) {
  until_signal signal;
  zones_service service(flags.text("data"));
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:" + flags.text("port")});
  service.add_to(server);
  server.start(loop).or_throw();
  signal.watch(loop);
  loop.run().or_throw();
  server.shutdown_blocking(std::chrono::seconds(1)).or_throw();
}

}  // namespace

int main(int argc, char **argv) {
  try {
    serve(flags(argc, argv, {{"port", ""}, {"data", "tests/demo/data/zones.tsv"}}));
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
