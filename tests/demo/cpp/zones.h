// What the demo's client and server share: names of spanwire.demo.v1.
#pragma once

#include <spanwire.hpp>

#include "spanwire/demo/v1/zones.pb.h"

#define ZONES "/spanwire.demo.v1.Zones/"

namespace zones = spanwire::demo::v1;

// The message in these bytes; throws if there is none.
template <class Message>
Message parse(const spanwire::bytes &bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw spanwire::error({spanwire::code::internal, "the message cannot be read"});
  }
  return message;
}
