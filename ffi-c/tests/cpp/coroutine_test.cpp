// Calls of all kinds between a client and a server that share one loop, as coroutines.
#include "service.hpp"

using namespace service;
using spanwire::call;
using spanwire::code;

TEST(unary_is_answered) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    auto answer = co_await test.channel.unary("/test.Test/Echo", "hello", {.timeout = 10s});
    CHECK_OK(answer);
    CHECK(text(answer->message) == "hello");
    CHECK(answer->attempts == 1);
    CHECK(test.channel.connectivity() == spanwire::connectivity::ready);
    CHECK(!test.channel.stats().empty() && !test.server.stats().empty());
    CHECK(answer->peer == "ipv4:127.0.0.1:" + std::to_string(test.server.port()));
    auto empty = co_await test.channel.unary("/test.Test/Echo", std::string());
    CHECK_OK(empty);
    CHECK(empty->message.empty());
  }(test));
}

TEST(handlers_see_where_in_a_trace_they_are) {
  const std::string caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  for (bool traced : {true, false}) {
    pair test(traced ? spanwire::server_options{.telemetry = spanwire::telemetry_options{.endpoint = ""}}
                     : spanwire::server_options{});
    CHECK_OK(test.server.unary("/test.Test/Where", [](bytes, context &context) -> task<result<bytes>> {
      co_return bytes::copy(context.traceparent());
    }));
    test.start();
    test.run([](pair &test, const std::string &caller, bool traced) -> task<> {
      spanwire::call_options options{.timeout = 10s};
      options.metadata.append("traceparent", caller);
      auto answer = co_await test.channel.unary("/test.Test/Where", "", options);
      CHECK_OK(answer);
      std::string seen = text(answer->message);
      if (traced) {
        CHECK(seen.size() == caller.size() && seen != caller);
        CHECK(seen.substr(0, 36) == caller.substr(0, 36));
      } else {
        CHECK(seen.empty());
      }
    }(test, caller, traced));
  }
}

TEST(another_state_is_waited_for) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    using spanwire::connectivity;
    CHECK_CODE(deadline_exceeded,
               (co_await test.channel.connectivity_changed(connectivity::idle, {.timeout = 1ms})).status());
    std::stop_source stop;
    stop.request_stop();
    CHECK_CODE(
        cancelled,
        (co_await test.channel.connectivity_changed(connectivity::idle, {.stop = stop.get_token()})).status());
    CHECK_OK(test.channel.connect());
    connectivity state = connectivity::idle;
    while (state != connectivity::ready) {
      auto changed = co_await test.channel.connectivity_changed(state, {.timeout = 10s});
      CHECK_OK(changed);
      CHECK(*changed != state);
      state = *changed;
    }
    auto other = test.channel.connectivity_changed_blocking(connectivity::connecting);
    CHECK_OK(other);
    CHECK(*other == connectivity::ready);
  }(test));
  spanwire::channel wrong("localhost:1", {.dns_resolver = "hickory"});
  CHECK(wrong.status().message().find("dns_resolver") != std::string::npos);
  spanwire::channel direct("localhost:1", {.dns_resolver = "direct", .service_config_from_dns = true});
  CHECK_OK(direct.status());
}

TEST(metadata_goes_both_ways) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    const std::string binary("\0\x01\xff\n", 4);
    spanwire::call_options options;
    options.metadata.append("x-a", "1").append("x-b", "2").append("x-a", "3").append("x-c-bin", binary);
    auto answer = co_await test.channel.unary("/test.Test/Echo", "", options);
    CHECK_OK(answer);
    for (const spanwire::metadata *seen : {&answer->headers, &answer->trailers}) {
      CHECK(seen->size() == 4);
      CHECK(seen->find("x-a") == "1");
      CHECK(seen->find("x-a", 1) == "3");
      CHECK(!seen->find("x-a", 2));
      CHECK(seen->find("x-c-bin") == binary);
    }
    spanwire::call_options wrong;
    wrong.metadata.append("x a", "1");
    CHECK_CODE(invalid_argument, (co_await test.channel.unary("/test.Test/Echo", "", wrong)).status());
  }(test));
}

// GCC 12 destroys what stands in such braces twice.
TEST(options_may_stand_in_braces) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    std::stop_source stop;
    const std::string large(100, 'l');
    auto answer =
        co_await test.channel.unary("/test.Test/Echo", std::string(10'000, 'x'),
                                    {.timeout = 10s,
                                     .metadata = spanwire::metadata().append("x-a", "1").append("x-b", large),
                                     .stop = stop.get_token()});
    CHECK_OK(answer);
    CHECK(answer->headers.find("x-b") == large);
    spanwire::metadata named{{"x-c", large}};
    call chat = co_await test.channel.bidi("/test.Test/Chat", {.metadata = named, .stop = stop.get_token()});
    CHECK(named.find("x-c") == large);
    CHECK_OK(co_await chat.finish());
    call moved = co_await test.channel.bidi("/test.Test/Chat", {.metadata = std::move(named)});
    CHECK_OK(co_await moved.finish());
  }(test));
}

TEST(errors_carry_details_and_trailers) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    auto refused = co_await test.channel.unary("/test.Test/Refuse", "5");
    CHECK(!refused);
    const status &why = refused.status();
    CHECK_CODE(not_found, why);
    CHECK(why.message() == "as you wish");
    CHECK(bytes::copy(why.details()).view() == "\x08\x05");
    CHECK(why.trailers().find("x-why") == "asked for");
    CHECK(why.sent() == spanwire::sent::answered);
    CHECK(why.attempts() == 1);
    CHECK(!why.peer().empty());
    CHECK(why.to_string() == "NOT_FOUND: as you wish");
    CHECK_CODE(unimplemented, (co_await test.channel.unary("/test.Test/Nothing", "")).status());
  }(test));
}

TEST(server_streams) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    call answers = co_await test.channel.server_streaming("/test.Test/Count", "1000");
    int seen = 0;
    while (auto message = co_await answers.next()) CHECK(text(*message) == std::to_string(seen++));
    CHECK(seen == 1000);
    CHECK_OK(co_await answers.finish());
    CHECK(!co_await answers.next());
    CHECK_CODE(failed_precondition, co_await answers.send("late"));
  }(test));
}

TEST(client_streams) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    call requests = co_await test.channel.client_streaming("/test.Test/Join");
    std::string expected;
    for (int each = 0; each < 1000; ++each) {
      expected += std::to_string(each);
      CHECK_OK(co_await requests.send(std::to_string(each)));
    }
    auto answer = co_await requests.response();
    CHECK_OK(answer);
    CHECK(text(answer->message) == expected);
    call nothing = co_await test.channel.client_streaming("/test.Test/Join");
    CHECK((co_await nothing.response())->message.empty());
  }(test));
}

TEST(both_stream) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    call chat = co_await test.channel.bidi("/test.Test/Chat");
    for (int each = 0; each < 100; ++each) {
      CHECK_OK(co_await chat.send(std::to_string(each)));
      auto answer = co_await chat.next();
      CHECK(answer && text(*answer) == std::to_string(each));
    }
    CHECK_OK(chat.half_close());
    CHECK_OK(chat.half_close());
    CHECK(!co_await chat.next());
    CHECK_OK(co_await chat.finish());
  }(test));
}

TEST(one_reads_while_another_sends) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    call chat = co_await test.channel.bidi("/test.Test/Chat", {.credit = 2});
    const std::string large(10'000, 'x');
    auto sender = test.loop.spawn([](call &chat, const std::string &large) -> task<status> {
      for (int each = 0; each < 500; ++each) {
        if (status sent = co_await chat.send(large); !sent) co_return sent;
      }
      co_return chat.half_close();
    }(chat, large));
    int seen = 0;
    while (auto message = co_await chat.next()) {
      CHECK(message->size() == large.size());
      ++seen;
    }
    CHECK(seen == 500);
    CHECK_OK(co_await sender);
    CHECK_OK(co_await chat.finish());
  }(test));
}

TEST(only_one_coroutine_reads) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    call chat = co_await test.channel.bidi("/test.Test/Chat");
    auto reading =
        test.loop.spawn([](call &chat) -> task<bool> { co_return (co_await chat.next()).has_value(); }(chat));
    CHECK(!co_await chat.next());
    CHECK_CODE(failed_precondition, co_await chat.finish());
    CHECK_OK(co_await chat.send("x"));
    CHECK(co_await reading);
  }(test));
}

TEST(a_sender_waits_while_nobody_reads) {
  pair test;
  harness::gate may_read;
  CHECK_OK(test.server.client_streaming("/test.Test/Slow", [&](reader &requests, context &) -> task<result<bytes>> {
    co_await may_read;
    int seen = 0;
    while (co_await requests.next()) ++seen;
    co_return std::to_string(seen);
  }));
  test.start();
  constexpr int messages = 200;
  int sent = 0;
  auto work = [&]() -> task<> {
    call requests = co_await test.channel.client_streaming("/test.Test/Slow");
    for (; sent < messages; ++sent) CHECK_OK(co_await requests.send(std::string(100'000, 'x')));
    auto answer = co_await requests.response();
    CHECK_OK(answer);
    CHECK(text(answer->message) == std::to_string(messages));
  };
  auto sender = test.loop.spawn(work());
  // Nothing happens any more when the windows are full.
  while (test.loop.run_one(200ms) != 0 || !may_read.waited_for()) {
  }
  CHECK(sent < messages);
  CHECK(!sender.ended());
  may_read.open();
  test.run([](spanwire::job<void> &sender) -> task<> { co_await sender; }(sender));
}

TEST(headers_come_before_messages) {
  pair test;
  harness::gate seen;
  CHECK_OK(test.server.bidi("/test.Test/Early", [&](reader &, writer &answers, context &context) -> task<status> {
    context.headers().append("x-early", "yes");
    CHECK_OK(context.send_headers());
    CHECK_CODE(failed_precondition, context.send_headers());
    co_await seen;
    context.trailers().append("x-late", "yes");
    co_return co_await answers.send("after");
  }));
  test.start();
  test.run([](pair &test, harness::gate &seen) -> task<> {
    call early = co_await test.channel.bidi("/test.Test/Early");
    auto headers = co_await early.headers();
    CHECK_OK(headers);
    CHECK(headers->find("x-early") == "yes");
    CHECK((co_await early.headers())->contains("x-early"));
    seen.open();
    CHECK(text(*co_await early.next()) == "after");
    status end = co_await early.finish();
    CHECK_OK(end);
    CHECK(end.trailers().find("x-late") == "yes");
    call failed = co_await test.channel.bidi("/test.Test/Nothing");
    CHECK_CODE(unimplemented, (co_await failed.headers()).status());
  }(test, seen));
}

TEST(a_deadline_ends_both_sides) {
  pair test;
  harness::gate ended;
  CHECK_OK(test.server.unary("/test.Test/Hang", [&](bytes, context &context) -> task<result<bytes>> {
    CHECK(context.time_remaining() && *context.time_remaining() <= 100ms);
    status why = co_await context.until_cancelled();
    CHECK_CODE(cancelled, why);
    CHECK(context.cancelled());
    CHECK(context.stop_token().stop_requested());
    ended.open();
    co_return why;
  }));
  CHECK_OK(test.server.unary("/test.Test/Free", [](bytes, context &context) -> task<result<bytes>> {
    CHECK(!context.time_remaining());
    CHECK(context.method() == "/test.Test/Free");
    CHECK(context.peer().starts_with("ipv4:127.0.0.1:"));
    CHECK(context.peer_certificate().empty());
    co_return bytes();
  }));
  test.start();
  test.run([](pair &test, harness::gate &ended) -> task<> {
    CHECK_CODE(deadline_exceeded,
               (co_await test.channel.unary("/test.Test/Hang", "", {.timeout = 100ms})).status());
    co_await ended;
    CHECK_OK(co_await test.channel.unary("/test.Test/Free", ""));
    auto late = co_await test.channel.unary("/test.Test/Echo", "", {.timeout = 0ms});
    CHECK_CODE(deadline_exceeded, late.status());
    CHECK(late.status().sent() == spanwire::sent::not_sent);
  }(test, ended));
}

TEST(a_client_cancels) {
  pair test;
  harness::gate begun, ended;
  CHECK_OK(
      test.server.bidi("/test.Test/Wait", [&](reader &requests, writer &answers, context &context) -> task<status> {
        CHECK(co_await requests.next());
        begun.open();
        CHECK(!co_await requests.next());
        CHECK_CODE(cancelled, requests.status());
        CHECK_CODE(cancelled, co_await answers.send("late"));
        CHECK(context.cancelled());
        ended.open();
        co_return {};
      }));
  test.start();
  test.run([](pair &test, harness::gate &begun, harness::gate &ended) -> task<> {
    call waiting = co_await test.channel.bidi("/test.Test/Wait");
    CHECK_OK(co_await waiting.send("x"));
    co_await begun;
    waiting.cancel();
    waiting.cancel();
    CHECK(!co_await waiting.next());
    CHECK_CODE(cancelled, co_await waiting.finish());
    CHECK_CODE(cancelled, co_await waiting.send("late"));
    co_await ended;
  }(test, begun, ended));
}

TEST(destroying_a_call_cancels_it) {
  pair test;
  harness::gate begun, ended;
  CHECK_OK(test.server.bidi("/test.Test/Wait", [&](reader &, writer &, context &context) -> task<status> {
    begun.open();
    status why = co_await context.until_cancelled();
    ended.open();
    co_return why;
  }));
  test.start();
  test.run([](pair &test, harness::gate &begun, harness::gate &ended) -> task<> {
    {
      call waiting = co_await test.channel.bidi("/test.Test/Wait");
      co_await begun;
    }
    co_await ended;
  }(test, begun, ended));
}

TEST(a_stop_token_cancels) {
  pair test;
  std::stop_source stop;
  harness::gate ended;
  CHECK_OK(test.server.unary("/test.Test/Wait", [&](bytes, context &context) -> task<result<bytes>> {
    stop.request_stop();
    status why = co_await context.until_cancelled();
    ended.open();
    co_return why;
  }));
  // A handler that calls on hands its own end down.
  CHECK_OK(test.server.unary("/test.Test/Relay", [&](bytes request, context &context) -> task<result<bytes>> {
    auto answer = co_await test.channel.unary("/test.Test/Wait", request, {.parent = &context});
    CHECK_CODE(cancelled, answer.status());
    co_return answer.status();
  }));
  test.start();
  test.run([](pair &test, std::stop_source &stop, harness::gate &ended) -> task<> {
    CHECK_CODE(cancelled,
               (co_await test.channel.unary("/test.Test/Relay", "", {.stop = stop.get_token()})).status());
    co_await ended;
    // It was requested before the start.
    CHECK_CODE(cancelled,
               (co_await test.channel.unary("/test.Test/Echo", "", {.stop = stop.get_token()})).status());
    call stopped = co_await test.channel.bidi("/test.Test/Chat", {.stop = stop.get_token()});
    CHECK_CODE(cancelled, co_await stopped.finish());
  }(test, stop, ended));
}

TEST(a_server_may_end_early) {
  pair test;
  CHECK_OK(test.server.bidi("/test.Test/Enough", [](reader &requests, writer &answers, context &) -> task<status> {
    CHECK(co_await requests.next());
    CHECK_OK(co_await answers.send("enough"));
    co_return {code::resource_exhausted, "no more"};
  }));
  test.start();
  test.run([](pair &test) -> task<> {
    call enough = co_await test.channel.bidi("/test.Test/Enough");
    status sent;
    while (sent) sent = co_await enough.send(std::string(50'000, 'x'));
    CHECK_CODE(resource_exhausted, sent);
    CHECK(text(*co_await enough.next()) == "enough");
    CHECK(!co_await enough.next());
    status end = co_await enough.finish();
    CHECK_CODE(resource_exhausted, end);
    CHECK(end.message() == "no more");
  }(test));
}

TEST(messages_are_compressed_as_asked) {
  pair test;
  CHECK_OK(test.server.unary("/test.Test/Told", [](bytes request, context &context) -> task<result<bytes>> {
    context.compression(spanwire::encoding::gzip);
    co_return std::string(request.compressed() ? "compressed" : "plain") + std::string(5000, ' ');
  }));
  test.start();
  test.run([](pair &test) -> task<> {
    const std::string large(5000, 'a');
    for (auto how : {spanwire::encoding::gzip, spanwire::encoding::deflate, spanwire::encoding::zstd}) {
      auto told = co_await test.channel.unary("/test.Test/Told", large, {.compression = how});
      CHECK_OK(told);
      CHECK(told->message.view().starts_with("compressed"));
      CHECK(told->message.compressed());
    }
    auto plain = co_await test.channel.unary("/test.Test/Told", spanwire::buffer(large).plain(),
                                             {.compression = spanwire::encoding::gzip});
    CHECK_OK(plain);
    CHECK(plain->message.view().starts_with("plain"));
  }(test));
}

TEST(big_messages_are_handed_over) {
  pair test({.limits = {.max_recv_message_bytes = 64 << 20}});
  test.start({.limits = {.max_recv_message_bytes = 64 << 20}});
  test.run([](pair &test) -> task<> {
    std::vector<std::byte> big(20 << 20);
    for (std::size_t index = 0; index < big.size(); index += 4096) big[index] = static_cast<std::byte>(index >> 12);
    std::vector<std::byte> copy = big;
    auto answer = co_await test.channel.unary("/test.Test/Echo", std::move(copy));
    CHECK_OK(answer);
    CHECK(answer->message == bytes(std::move(big)));
    // What was received can be sent again.
    bytes kept = answer->message;
    auto again = co_await test.channel.unary("/test.Test/Echo", kept);
    CHECK_OK(again);
    CHECK(again->message == kept);
    auto beyond = co_await test.channel.unary("/test.Test/Echo", kept, {.max_recv_message_bytes = 1 << 20});
    CHECK_CODE(resource_exhausted, beyond.status());
  }(test));
}

TEST(many_calls_at_once) {
  pair test;
  test.start();
  test.run([](pair &test) -> task<> {
    std::vector<spanwire::job<result<spanwire::response>>> jobs;
    auto one = [](pair &test, int number) -> task<result<spanwire::response>> {
      co_return co_await test.channel.unary("/test.Test/Echo", std::to_string(number));
    };
    for (int number = 0; number < 500; ++number) jobs.push_back(test.loop.spawn(one(test, number)));
    for (int number = 0; number < 500; ++number) {
      auto answer = co_await jobs[static_cast<std::size_t>(number)];
      CHECK_OK(answer);
      CHECK(text(answer->message) == std::to_string(number));
    }
  }(test));
}

TEST(other_methods_fall_back) {
  pair test;
  CHECK_OK(test.server.fallback([](reader &requests, writer &answers, context &context) -> task<status> {
    while (auto request = co_await requests.next()) {
      CHECK_OK(co_await answers.send(std::string(context.method()) + text(*request)));
    }
    co_return {};
  }));
  test.start();
  test.run([](pair &test) -> task<> {
    auto answer = co_await test.channel.unary("/other.Other/Method", "?");
    CHECK_OK(answer);
    CHECK(text(answer->message) == "/other.Other/Method?");
  }(test));
}

TEST(a_shutdown_waits_for_calls) {
  pair test;
  harness::gate begun, may_end;
  CHECK_OK(test.server.unary("/test.Test/Wait", [&](bytes request, context &) -> task<result<bytes>> {
    begun.open();
    co_await may_end;
    co_return request;
  }));
  test.start();
  test.loop.run([](pair &test, harness::gate &begun, harness::gate &may_end) -> task<> {
    auto call = test.loop.spawn([](pair &test) -> task<result<spanwire::response>> {
      co_return co_await test.channel.unary("/test.Test/Wait", "patience");
    }(test));
    co_await begun;
    CHECK_CODE(failed_precondition, test.server.shutdown_blocking(1s));
    auto shutdown =
        test.loop.spawn([](pair &test) -> task<status> { co_return co_await test.server.shutdown(60s); }(test));
    CHECK(!shutdown.ended());
    may_end.open();
    CHECK_OK(co_await call);
    CHECK_OK(co_await shutdown);
    CHECK_CODE(unavailable, (co_await test.channel.unary("/test.Test/Echo", "", {.timeout = 10s})).status());
  }(test, begun, may_end));
}

TEST(a_shutdown_cancels_what_stays) {
  pair test;
  harness::gate begun;
  bool cancelled = false;
  CHECK_OK(test.server.unary("/test.Test/Wait", [&](bytes, context &context) -> task<result<bytes>> {
    begun.open();
    status why = co_await context.until_cancelled();
    cancelled = true;
    co_return why;
  }));
  test.start();
  test.loop.run([](pair &test, harness::gate &begun) -> task<> {
    auto call = test.loop.spawn([](pair &test) -> task<status> {
      co_return (co_await test.channel.unary("/test.Test/Wait", "")).status();
    }(test));
    co_await begun;
    CHECK_OK(co_await test.server.shutdown(1ms));
    CHECK(!(co_await call).ok());
  }(test, begun));
  CHECK(cancelled);
}

#if defined(__cpp_exceptions)
TEST(a_handler_that_throws_fails_its_call_alone) {
  pair test;
  CHECK_OK(test.server.unary("/test.Test/Throw", [](bytes request, context &) -> task<result<bytes>> {
    if (request.empty()) throw std::logic_error("a secret");
    if (request.size() == 1) throw 7;
    throw spanwire::error({code::aborted, "thrown", bytes::copy("\x08\x0a")});
    co_return request;
  }));
  CHECK_OK(test.server.bidi("/test.Test/NoTask", [](reader &, writer &, context &) -> task<status> {
    throw spanwire::error({code::data_loss, "at once"});
  }));
  test.start();
  test.run([](pair &test) -> task<> {
    status secret = (co_await test.channel.unary("/test.Test/Throw", "")).status();
    CHECK_CODE(internal, secret);
    CHECK(secret.message().find("secret") == std::string_view::npos);
    CHECK_CODE(internal, (co_await test.channel.unary("/test.Test/Throw", "x")).status());
    status thrown = (co_await test.channel.unary("/test.Test/Throw", "xx")).status();
    CHECK_CODE(aborted, thrown);
    CHECK(thrown.message() == "thrown");
    CHECK(bytes::copy(thrown.details()).view() == "\x08\x0a");
    call no_task = co_await test.channel.bidi("/test.Test/NoTask");
    CHECK_CODE(data_loss, co_await no_task.finish());
    bool caught = false;
    try {
      (co_await test.channel.unary("/test.Test/Throw", "xx")).value_or_throw();
    } catch (const spanwire::error &error) {
      CHECK_CODE(aborted, error.status());
      CHECK(std::string(error.what()) == "ABORTED: thrown");
      caught = true;
    }
    CHECK(caught);
    CHECK_OK(co_await test.channel.unary("/test.Test/Echo", ""));
  }(test));
}
#endif

RUN_TESTS()
