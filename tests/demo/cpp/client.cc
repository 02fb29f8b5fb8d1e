// Makes the calls of a work file, one after the other, and prints a report as JSON:
// `client --target=127.0.0.1:50051 --work=FILE`.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <iostream>
#include <iterator>

#include "flags.h"
#include "zones.h"

namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;
using spanwire::task;

// A call's messages, both ways, and its answer.
struct made_call {
  int messages = 0;
  Value answer = {};
};

// What a failed call is answered with.
Value failure(const spanwire::status &status) {
  Value answer;
  (*answer.mutable_struct_value()->mutable_fields())["code"].set_number_value(static_cast<int>(status.code()));
  return answer;
}

ListValue &list(Value &value) { return *value.mutable_list_value(); }

template <class Names>
void append_all(ListValue &list, const Names &names) {
  ListValue &all = *list.add_values()->mutable_list_value();
  for (const std::string &name : names) all.add_values()->set_string_value(name);
}

void append_distance(ListValue &list, const zones::Zone &zone) {
  if (zone.has_distance_km()) {
    list.add_values()->set_number_value(zone.distance_km());
  } else {
    list.add_values()->set_null_value({});
  }
}

// Appends a zone as the answers about places have it.
void append_place(Value &answer, const spanwire::bytes &message) {
  const auto zone = parse<zones::Zone>(message);
  ListValue &place = *list(answer).add_values()->mutable_list_value();
  place.add_values()->set_string_value(zone.name());
  append_distance(place, zone);
}

zones::Position position_of(const Value &pair) {
  zones::Position position;
  position.set_latitude(pair.list_value().values(0).number_value());
  position.set_longitude(pair.list_value().values(1).number_value());
  return position;
}

task<made_call> get(const spanwire::channel &channel, const Value &item) {
  zones::GetZone request;
  request.set_name(item.string_value());
  const auto response = co_await channel.unary(ZONES "Get", request.SerializeAsString());
  if (!response) co_return made_call{1, failure(response.status())};
  const auto zone = parse<zones::Zone>(response->message);
  made_call made{2};
  ListValue &answer = list(made.answer);
  answer.add_values()->set_string_value(zone.name());
  append_all(answer, zone.countries());
  answer.add_values()->set_number_value(zone.position().latitude());
  answer.add_values()->set_number_value(zone.position().longitude());
  append_distance(answer, zone);
  co_return made;
}

task<made_call> near(const spanwire::channel &channel, const Value &item) {
  const auto &fields = item.struct_value().fields();
  zones::NearZones request;
  *request.mutable_position() = position_of(fields.at("position"));
  request.set_count(static_cast<uint32_t>(fields.at("count").number_value()));
  request.set_radius_km(fields.at("radius_km").number_value());
  spanwire::call call = co_await channel.server_streaming(ZONES "Near", request.SerializeAsString());
  made_call made{1};
  list(made.answer);
  for (; const auto zone = co_await call.next(); made.messages++) append_place(made.answer, *zone);
  if (const auto status = co_await call.finish(); !status) made.answer = failure(status);
  co_return made;
}

task<made_call> journey(const spanwire::channel &channel, const Value &item) {
  spanwire::call call = co_await channel.client_streaming(ZONES "Journey");
  made_call made;
  for (const Value &pair : item.list_value().values()) {
    made.messages++;
    if (!co_await call.send(position_of(pair).SerializeAsString())) break;
  }
  const auto response = co_await call.response();
  if (!response) {
    made.answer = failure(response.status());
    co_return made;
  }
  made.messages++;
  const auto summary = parse<zones::JourneySummary>(response->message);
  ListValue &answer = list(made.answer);
  answer.add_values()->set_number_value(summary.legs());
  answer.add_values()->set_number_value(summary.kilometres());
  append_all(answer, summary.zones());
  co_return made;
}

task<made_call> locate(const spanwire::channel &channel, const Value &item) {
  spanwire::call call = co_await channel.bidi(ZONES "Locate");
  made_call made;
  list(made.answer);
  for (const Value &pair : item.list_value().values()) {
    if (!co_await call.send(position_of(pair).SerializeAsString())) break;
    made.messages++;
    const auto zone = co_await call.next();
    if (!zone) break;
    made.messages++;
    append_place(made.answer, *zone);
  }
  static_cast<void>(call.half_close());
  if (co_await call.next()) throw std::runtime_error("a zone came that nobody asked for");
  if (const auto status = co_await call.finish(); !status) made.answer = failure(status);
  co_return made;
}

// Makes all calls of one method.
task<Value> report(const spanwire::channel &channel, const Value &items,
                   task<made_call> (*call)(const spanwire::channel &, const Value &)) {
  Value answers;
  int messages = 0;
  const auto began = std::chrono::steady_clock::now();
  for (const Value &item : items.list_value().values()) {
    made_call made = co_await call(channel, item);
    messages += made.messages;
    *list(answers).add_values() = std::move(made.answer);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  Value made;
  auto &fields = *made.mutable_struct_value()->mutable_fields();
  fields["calls"].set_number_value(items.list_value().values_size());
  fields["messages"].set_number_value(messages);
  fields["seconds"].set_number_value(seconds.count());
  fields["answers"] = std::move(answers);
  co_return made;
}

// Does all the work.
task<Struct> do_all(const spanwire::channel &channel, const Struct &work) {
  // Connecting is not what is timed.
  zones::GetZone first;
  first.set_name("Europe/Zurich");
  (co_await channel.unary(ZONES "Get", first.SerializeAsString(), {.wait_for_ready = true})).value_or_throw();
  Struct reports;
  auto &fields = *reports.mutable_fields();
  fields["get"] = co_await report(channel, work.fields().at("get"), get);
  fields["near"] = co_await report(channel, work.fields().at("near"), near);
  fields["journey"] = co_await report(channel, work.fields().at("journey"), journey);
  fields["locate"] = co_await report(channel, work.fields().at("locate"), locate);
  co_return reports;
}

void run(const flags &flags) {
  std::ifstream file(flags.text("work"));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Struct work;
  if (!google::protobuf::util::JsonStringToMessage(text, &work).ok()) throw std::runtime_error("no work");
  const spanwire::channel channel(flags.text("target"));
  spanwire::loop loop;
  const Struct reports = loop.run(do_all(channel, work));
  std::string printed;
  if (!google::protobuf::util::MessageToJsonString(reports, &printed).ok()) throw std::runtime_error("no report");
  std::cout << printed << '\n';
}

}  // namespace

int main(int argc, char **argv) {
  try {
    run(flags(argc, argv, {{"target", ""}, {"work", ""}}));
  } catch (const std::exception &failure) {
    std::cerr << failure.what() << '\n';
    return 1;
  }
}
