// The three kinds of streams, and calls that the client ends.
#include "cases.h"

task<> client_streaming(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.client_streaming(TEST_SERVICE "StreamingInputCall", within_limit());
  for (const int size : request_sizes) {
    StreamingInputCallRequest request;
    request.set_allocated_payload(new_zeros(size));
    (co_await call.send(request.SerializeAsString())).or_throw();
  }
  co_await expect_sum(call, 74'922);
}

task<> server_streaming(const session &session) {
  StreamingOutputCallRequest request;
  for (const int size : response_sizes) request.add_response_parameters()->set_size(size);
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.server_streaming(TEST_SERVICE "StreamingOutputCall",
                                                          request.SerializeAsString(), within_limit());
  for (const int size : response_sizes) co_await expect_response(call, size);
  co_await expect_end(call);
}

task<> ping_pong(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.bidi(TEST_SERVICE "FullDuplexCall", within_limit());
  for (size_t index = 0; index < std::size(request_sizes); index++) {
    (co_await call.send(ping(request_sizes[index], response_sizes[index]).SerializeAsString())).or_throw();
    co_await expect_response(call, response_sizes[index]);
  }
  call.half_close().or_throw();
  co_await expect_end(call);
}

task<> empty_stream(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.bidi(TEST_SERVICE "FullDuplexCall", within_limit());
  call.half_close().or_throw();
  co_await expect_end(call);
}

task<> cancel_after_begin(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.client_streaming(TEST_SERVICE "StreamingInputCall", within_limit());
  call.cancel();
  check_code(co_await call.finish(), code::cancelled);
}

task<> cancel_after_first_response(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call = co_await channel.bidi(TEST_SERVICE "FullDuplexCall", within_limit());
  (co_await call.send(ping(request_sizes[0], response_sizes[0]).SerializeAsString())).or_throw();
  co_await expect_response(call, response_sizes[0]);
  call.cancel();
  check_code(co_await call.finish(), code::cancelled);
}

task<> timeout_on_sleeping_server(const session &session) {
  const spanwire::channel channel = session.channel();
  spanwire::call call =
      co_await channel.bidi(TEST_SERVICE "FullDuplexCall", {.timeout = std::chrono::milliseconds(1)});
  StreamingOutputCallRequest request;
  request.set_allocated_payload(new_zeros(request_sizes[0]));
  // The millisecond may be over already; the status is the same. Without a half-close the server waits for more.
  static_cast<void>(co_await call.send(request.SerializeAsString()));
  check(!co_await call.next(), "a response came that nobody asked for");
  check_code(co_await call.finish(), code::deadline_exceeded);
}
