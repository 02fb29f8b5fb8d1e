// Unary calls, also to a server that misbehaves on the HTTP/2 level.
#include <set>
#include <vector>

#include "cases.h"

task<> empty_unary(const session &session) {
  const spanwire::channel channel = session.channel();
  const auto response = (co_await channel.unary(TEST_SERVICE "EmptyCall", "", within_limit())).value_or_throw();
  check(response.message.empty(), "the response has ", response.message.size(), " bytes");
}

task<> large_unary(const session &session) { co_await large_call(session.channel()); }

task<> pick_first_unary(const session &session) {
  const spanwire::channel channel = session.channel();
  SimpleRequest request;
  request.set_response_size(1);
  request.set_allocated_payload(new_zeros(1));
  request.set_fill_server_id(true);
  std::set<std::string> servers;
  for (int call = 0; call < 100; call++) {
    const spanwire::response response = co_await unary(channel, request);
    servers.insert(parse<SimpleResponse>(response.message).server_id());
  }
  check(!servers.contains(""), "the server gave no server_id");
  check(servers.size() == 1, servers.size(), " servers answered");
}

// GOAWAY arrives during the first call. That one finishes, and the second one, made right after it, goes over a new
// connection; the server counts them. (The official client pauses in between; we need not.)
task<> goaway(const session &session) {
  const spanwire::channel channel = session.channel();
  co_await large_call(channel);
  co_await large_call(channel);
}

// The server resets the stream with NO_ERROR, before there is a status. The call must fail, also when its data were
// complete; INTERNAL is what the mapping of reset codes gives.
task<> reset(const session &session) {
  const spanwire::channel channel = session.channel();
  const auto outcome =
      co_await channel.unary(TEST_SERVICE "UnaryCall", large_request().SerializeAsString(), within_limit());
  check_code(outcome.status(), code::internal);
}

// The server allows one stream at a time. Further calls wait; none fails.
task<> max_streams(const session &session) {
  const spanwire::channel channel = session.channel();
  // The first call lets the limit arrive.
  co_await large_call(channel);
  std::vector<spanwire::job<void>> calls;
  for (int call = 0; call < 10; call++) calls.push_back(session.loop.spawn(large_call(channel)));
  for (auto &call : calls) co_await call;
}
