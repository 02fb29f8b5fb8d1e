// What outlives what, what was moved from, hooks, and the types that need no network.
#include <poll.h>

#include "service.hpp"

using namespace service;
using spanwire::call;
using spanwire::generator;

namespace {

/// Counts how many of it live.
struct counted {
  int *count;
  explicit counted(int &of) : count(&of) { ++*count; }
  counted(const counted &) = delete;
  counted &operator=(const counted &) = delete;
  ~counted() { --*count; }
};

/// Adds a method whose handler waits until its call is cancelled.
void add_wait(spanwire::server &server, int &running) {
  CHECK_OK(server.bidi("/test.Test/Wait", [&running](reader &, writer &, context &context) -> task<status> {
    counted mine(running);
    co_return co_await context.until_cancelled();
  }));
}

}  // namespace

TEST(results_have_a_value_or_a_status) {
  result<std::string> good("text");
  CHECK(good.ok() && good && *good == "text" && good->size() == 4 && good.status().ok());
  result<std::string> bad(status(spanwire::code::not_found, "none"));
  CHECK(!bad && bad.status().message() == "none");
  CHECK(std::move(bad).value_or("other") == "other");
  result<std::string> neither((status()));
  CHECK_CODE(internal, neither.status());
  CHECK(status().message().empty() && status().trailers().empty() && status().to_string() == "OK");
#if defined(__cpp_exceptions)
  CHECK(good.value_or_throw() == "text");
  bool caught = false;
  try {
    status(spanwire::code::aborted, "why").or_throw();
  } catch (const std::runtime_error &error) {
    caught = std::string(error.what()) == "ABORTED: why";
  }
  CHECK(caught);
#endif
}

TEST(bytes_are_shared_and_handed_over) {
  std::string text(10'000, 'x');
  const char *place = text.data();
  bytes first(std::move(text));
  bytes second = first;
  CHECK(second.view().data() == place);
  bytes third = std::move(first);
  CHECK(first.empty() && third == second);
  {
    spanwire::buffer taken(third);
    spanwire::buffer moved = std::move(taken);
    CHECK(taken.size() == 0 && moved.size() == 10'000);
    spanwire_buffer raw = moved.take();
    CHECK(raw.data == place && raw.release != nullptr && moved.take().release == nullptr);
    raw.release(raw.context);
  }
  third = bytes();
  CHECK(second.size() == 10'000);
  spanwire::buffer borrowed(second.view()), small(std::string("few"));
  CHECK(borrowed.take().release == nullptr);
  CHECK(small.take().release == nullptr);
  std::span<const std::byte> span = second;
  CHECK(bytes::copy(span) == second);
}

TEST(tasks_are_lazy_and_pass_exceptions_on) {
  spanwire::loop loop;
  bool ran = false;
  auto work = [&]() -> task<int> {
    ran = true;
    co_return 7;
  };
  { auto never = work(); }
  CHECK(!ran);
  CHECK(loop.run(work()) == 7);
  task<status> moved = []() -> task<status> { co_return {}; }();
  task<status> here = std::move(moved);
  CHECK_CODE(failed_precondition, loop.run(std::move(moved)));
  CHECK_OK(loop.run(std::move(here)));
#if defined(__cpp_exceptions)
  auto thrower = []() -> task<int> {
    throw std::logic_error("out");
    co_return 1;
  };
  auto outer = [&]() -> task<int> { co_return co_await thrower(); };
  int caught = 0;
  try {
    loop.run(outer());
  } catch (const std::logic_error &) {
    ++caught;
  }
  // One that nobody waits for comes out of the loop.
  static_cast<void>(loop.spawn(outer()));
  try {
    loop.poll();
  } catch (const std::logic_error &) {
    ++caught;
  }
  CHECK(caught == 2);
  loop.poll();
#endif
}

TEST(long_loops_and_chains_keep_the_stack) {
  spanwire::loop loop;
  struct chain {
    static task<int> at_once(int value) { co_return value; }
    static task<int> later(spanwire::loop &loop, int value) {
      co_await loop.schedule();
      co_return value;
    }
    static task<int> deep(spanwire::loop &loop, int depth) {
      if (depth == 0) co_return co_await later(loop, 0);
      co_return 1 + co_await deep(loop, depth - 1);
    }
  };
  long sum = loop.run([](spanwire::loop &loop) -> task<long> {
    long sum = 0;
    for (int each = 0; each < 200'000; ++each) sum += co_await chain::at_once(1);
    for (int each = 0; each < 2'000; ++each) sum += co_await chain::later(loop, 1);
    co_return sum + co_await chain::deep(loop, 500);
  }(loop));
  CHECK(sum == 202'500);
}

TEST(generators_yield) {
  auto numbers = [](int count) -> generator<int> {
    for (int each = 0; each < count; ++each) co_yield each;
  };
  int sum = 0;
  for (int &each : numbers(10)) sum += each;
  CHECK(sum == 45);
  for (int &each : numbers(0)) sum += each;
  for (int &each : generator<int>()) sum += each;
  CHECK(sum == 45);
#if defined(__cpp_exceptions)
  auto broken = []() -> generator<int> {
    co_yield 1;
    throw std::logic_error("broken");
  };
  bool caught = false;
  try {
    for (int &each : broken()) sum += each;
  } catch (const std::logic_error &) {
    caught = true;
  }
  CHECK(caught && sum == 46);
#endif
}

TEST(jobs_are_waited_for_once_and_may_be_dropped) {
  spanwire::loop loop;
  harness::gate gate;
  auto wait = [&]() -> task<status> {
    co_await gate;
    co_return {};
  };
  loop.run([](spanwire::loop &loop, harness::gate &gate, task<status> work) -> task<> {
    spanwire::job<status> job = loop.spawn(std::move(work));
    CHECK(!job.ended());
    auto first = loop.spawn([](spanwire::job<status> &job) -> task<status> { co_return co_await job; }(job));
    CHECK_CODE(failed_precondition, co_await job);
    gate.open();
    CHECK_OK(co_await first);
    CHECK(job.ended());
    spanwire::job<status> none;
    CHECK_CODE(failed_precondition, co_await none);
  }(loop, gate, wait()));
}

TEST(coroutines_sleep) {
  spanwire::loop loop;
  std::string order;
  // From one moment on, however long it takes to begin them.
  auto begun = std::chrono::steady_clock::now();
  auto nap = [&](std::chrono::milliseconds length, char name) -> task<> {
    co_await loop.sleep_until(begun + length);
    order += name;
  };
  CHECK(!loop.due_in());
  auto slow = loop.spawn(nap(40ms, 'c'));
  auto quick = loop.spawn(nap(1ms, 'a'));
  auto middle = loop.spawn(nap(20ms, 'b'));
  static_cast<void>(loop.spawn(nap(1h, 'd')));  // goes with the loop
  CHECK(loop.due_in() && *loop.due_in() <= 1ms);
  while (!slow.ended()) loop.run_one();
  CHECK(std::chrono::steady_clock::now() - begun >= 40ms);
  CHECK(order == "abc" && quick.ended() && middle.ended());
  loop.run([](spanwire::loop &loop) -> task<> { co_await loop.sleep(1ms); }(loop));
  CHECK(loop.run_one(1ms) == 0);
}

TEST(moved_from_objects_answer) {
  pair test;
  test.start();
  spanwire::server server;
  CHECK_CODE(failed_precondition, server.start(test.loop));
  CHECK_CODE(failed_precondition, server.unary("/a/b", echo));
  CHECK(server.port() < 0);
  CHECK(!server.shutdown_blocking(1s));
  CHECK(!test.server.start(test.loop));
  spanwire::loop other;
  CHECK_CODE(failed_precondition, test.server.start(other));
  CHECK_CODE(failed_precondition, test.server.unary("/a/b", echo));
  spanwire::server broken({.address = "127.0.0.1:0", .tls = spanwire::tls_options{.certificate_file = "/nowhere"}});
  CHECK(!broken.status().ok() && !broken.status().message().empty());
  CHECK(broken.start(test.loop).message() == broken.status().message());
  spanwire::server nowhere({.address = "127.0.0.1:" + std::to_string(test.server.port())});
  CHECK_CODE(unavailable, nowhere.start(test.loop));
  CHECK_OK(nowhere.start(test.loop, "127.0.0.1:0"));

  spanwire::channel moved;
  CHECK_CODE(failed_precondition, moved.unary_blocking("/a/b", "").status());
  CHECK_CODE(failed_precondition, moved.bidi_blocking("/a/b").finish());
  CHECK_CODE(failed_precondition, moved.connectivity_changed_blocking(spanwire::connectivity::idle).status());
  CHECK(!moved.connect() && moved.connectivity() == spanwire::connectivity::none && moved.stats().empty());
  spanwire::channel wrong("", {.tls = spanwire::tls_options{.ca_file = "/nowhere"}});
  CHECK(!wrong.status().ok());
  CHECK(wrong.unary_blocking("/a/b", "").status().message() == wrong.status().message());
  spanwire::blocking_call no_call;
  CHECK(!no_call.next());
  CHECK_CODE(failed_precondition, no_call.send(""));
  CHECK_CODE(failed_precondition, no_call.half_close());
  CHECK_CODE(failed_precondition, no_call.finish());
  CHECK_CODE(failed_precondition, no_call.response().status());
  CHECK_CODE(failed_precondition, no_call.headers().status());
  for (auto &message : no_call.messages()) static_cast<void>(message);
  no_call.cancel();

  test.run([](pair &test, spanwire::channel &moved) -> task<> {
    CHECK_CODE(failed_precondition, (co_await moved.unary("/a/b", "")).status());
    call never = co_await moved.bidi("/a/b");
    CHECK(!co_await never.next());
    CHECK_CODE(failed_precondition, co_await never.finish());
    CHECK_CODE(failed_precondition, co_await never.send(""));
    call chat = co_await test.channel.bidi("/test.Test/Chat");
    call mine = std::move(chat);
    CHECK(!co_await chat.next());
    CHECK_CODE(failed_precondition, co_await chat.send(""));
    CHECK_CODE(failed_precondition, chat.half_close());
    CHECK_CODE(failed_precondition, co_await chat.finish());
    CHECK_CODE(failed_precondition, (co_await chat.response()).status());
    CHECK_CODE(failed_precondition, (co_await chat.headers()).status());
    chat.cancel();
    CHECK_OK(co_await mine.finish());
    CHECK_CODE(invalid_argument, (co_await test.channel.unary("no method", "")).status());
    CHECK_CODE(failed_precondition, test.loop.run());
    CHECK(test.loop.run_one() == 0);
    CHECK_CODE(failed_precondition, test.loop.run([]() -> task<status> { co_return {}; }()));
  }(test, moved));
}

TEST(without_a_loop_there_is_a_status) {
  // A coroutine of another library: it knows no loop.
  struct foreign {
    struct promise_type {
      foreign get_return_object() { return {}; }
      std::suspend_never initial_suspend() { return {}; }
      std::suspend_never final_suspend() noexcept { return {}; }
      void return_void() {}
      void unhandled_exception() {}
    };
  };
  pair test;
  test.start();
  bool answered = false;
  [](pair &test, bool &answered) -> foreign {
    CHECK_CODE(failed_precondition, (co_await test.channel.unary("/test.Test/Echo", "")).status());
    call none = co_await test.channel.bidi("/test.Test/Chat");
    CHECK_CODE(failed_precondition, co_await none.finish());
    CHECK_OK(co_await test.channel.unary("/test.Test/Echo", "", {.loop = &test.loop}));
    answered = true;
  }(test, answered);
  while (!answered) test.loop.run_one();
  CHECK_OK(test.server.shutdown_blocking(1s));
}

TEST(a_loop_takes_its_tasks_along) {
  int running = 0;
  call outlives;
  pair server;
  add_wait(server.server, running);
  server.start();
  {
    spanwire::loop loop;
    static_cast<void>(loop.spawn([](pair &server, int &running, call &outlives) -> task<> {
      counted mine(running);
      outlives = co_await server.channel.bidi("/test.Test/Wait");
      co_await outlives.next();
      CHECK(false);
    }(server, running, outlives)));
    static_cast<void>(loop.spawn([](pair &server, int &running) -> task<> {
      counted mine(running);
      static_cast<void>(co_await server.channel.unary("/test.Test/Wait", "x"));
      CHECK(false);
    }(server, running)));
    CHECK(running == 2);
    while (running < 4) server.loop.run_one();
  }
  // Both calls are cancelled, which ends the handlers.
  while (running > 0) server.loop.run_one();
  server.run([](call &outlives) -> task<> {
    CHECK(!co_await outlives.next());
    CHECK_CODE(cancelled, co_await outlives.finish());
    CHECK_CODE(cancelled, co_await outlives.send(""));
    outlives.cancel();
  }(outlives));
}

TEST(a_loop_may_end_with_its_server_running) {
  int running = 0;
  auto test = std::make_unique<pair>();
  add_wait(test->server, running);
  test->start();
  spanwire::loop loop;
  auto ask = loop.spawn([](spanwire::channel &channel) -> task<status> {
    call waiting = co_await channel.bidi("/test.Test/Wait");
    co_return co_await waiting.finish();
  }(test->channel));
  while (running == 0) test->loop.run_one();
  spanwire::server server = std::move(test->server);
  spanwire::channel channel = std::move(test->channel);
  test.reset();
  CHECK(running == 0);
  while (!ask.ended()) loop.run_one();
  loop.run([](spanwire::job<status> &ask, spanwire::channel &channel) -> task<> {
    CHECK(!(co_await ask).ok());
    CHECK(!(co_await channel.unary("/test.Test/Echo", "", {.timeout = 10s})).ok());
  }(ask, channel));
}

TEST(a_server_may_end_with_its_calls_running) {
  int running = 0;
  pair test;
  add_wait(test.server, running);
  test.start();
  test.loop.run([](pair &test, int &running) -> task<> {
    auto ask = test.loop.spawn([](spanwire::channel &channel) -> task<status> {
      call waiting = co_await channel.bidi("/test.Test/Wait");
      co_return co_await waiting.finish();
    }(test.channel));
    while (running == 0) co_await test.loop.schedule();
    test.server = spanwire::server();
    CHECK(!(co_await ask).ok());
    while (running != 0) co_await test.loop.schedule();
  }(test, running));
}

TEST(an_engine_may_end_with_its_calls_running) {
  auto engine = std::make_unique<spanwire::engine>(1);
  CHECK_OK(engine->status());
  int running = 0;
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:0"}, engine.get());
  add_wait(server, running);
  CHECK_OK(server.start(loop));
  spanwire::channel channel(server.target(), {}, engine.get());
  auto ask = loop.spawn([](spanwire::channel &channel) -> task<status> {
    call waiting = co_await channel.bidi("/test.Test/Wait");
    co_return co_await waiting.finish();
  }(channel));
  while (running == 0) loop.run_one();
  engine.reset();
  while (!ask.ended() || running != 0) loop.run_one();
  CHECK(!channel.unary_blocking("/test.Test/Wait", "").ok());
}

TEST(a_foreign_event_loop_watches_the_descriptor) {
  pair test;
  test.start();
  struct pollfd watched = {test.loop.descriptor(), POLLIN, 0};
  CHECK(watched.fd >= 0);
  auto job = test.loop.spawn([](pair &test) -> task<int> {
    int answers = 0;
    for (; answers < 20; ++answers) {
      CHECK_OK(co_await test.channel.unary("/test.Test/Echo", "x", {.timeout = 60s}));
    }
    co_return answers;
  }(test));
  while (!job.ended()) {
    CHECK(poll(&watched, 1, 60'000) == 1);
    test.loop.poll();
  }
  // Other threads wake it, too.
  while (test.loop.poll() != 0) {
  }
  bool ran = false;
  std::thread poster([&] { test.loop.post([&] { ran = true; }); });
  while (!ran) {
    CHECK(poll(&watched, 1, 60'000) == 1);
    test.loop.poll();
  }
  poster.join();
  CHECK_OK(test.server.shutdown_blocking(1s));
}

TEST(interceptors_see_every_call) {
  pair test;
  std::string log;
  CHECK_OK(test.server.intercept({.event = [&](spanwire::seen_event &event) {
    if (event.type() != SPANWIRE_EVENT_REQUEST) return;
    log += event.method();
    if (!event.metadata().contains("x-token")) {
      CHECK_OK(event.refuse({spanwire::code::unauthenticated, "who are you"}));
    }
  }}));
  test.start();
  CHECK_CODE(unauthenticated, test.loop.run([](pair &test) -> task<status> {
    co_return (co_await test.channel.unary("/test.Test/Echo", "x")).status();
  }(test)));
  CHECK(log == "/test.Test/Echo");
  bool refuse = false;
  int ended = 0;
  CHECK_OK(test.channel.intercept({
      .start = [&](spanwire::draft &call) -> status {
        if (refuse) return {spanwire::code::permission_denied, "not now"};
        CHECK(call.method().starts_with("/test.Test/"));
        CHECK_OK(call.append_metadata("x-token", "secret"));
        return call.set_timeout(60s);
      },
      .event = [&](spanwire::seen_event &event) { ended += event.type() == SPANWIRE_EVENT_DONE; },
  }));
  test.run([](pair &test, bool &refuse) -> task<> {
    auto answer = co_await test.channel.unary("/test.Test/Echo", "x");
    CHECK_OK(answer);
    CHECK(answer->headers.find("x-token") == "secret");
    spanwire::call answers = co_await test.channel.server_streaming("/test.Test/Count", "3");
    CHECK_OK(co_await answers.finish());
    refuse = true;
    status refused = (co_await test.channel.unary("/test.Test/Echo", "x")).status();
    CHECK_CODE(permission_denied, refused);
    CHECK(refused.message() == "not now");
    spanwire::call chat = co_await test.channel.bidi("/test.Test/Chat");
    CHECK_CODE(permission_denied, co_await chat.finish());
  }(test, refuse));
  CHECK(ended == 4);
}

TEST(interceptors_of_methods_see_their_calls_alone) {
  pair test;
  test.start();
  std::string log;
  CHECK_OK(
      test.channel.intercept({.event = [&](spanwire::seen_event &) { log += "e"; }, .only = {"/test.Test/Echo"}}));
  CHECK_OK(
      test.channel.intercept({.event = [&](spanwire::seen_event &) { log += "s"; }, .only = {"/test.Test/*"}}));
  CHECK_OK(
      test.channel.intercept({.event = [&](spanwire::seen_event &) { log += "o"; }, .only = {"/test.Other/*"}}));
  CHECK(!test.channel.intercept({.only = {"Echo"}}).ok());
  test.run([](pair &test) -> task<> {
    CHECK_OK(co_await test.channel.unary("/test.Test/Echo", "x"));
    static_cast<void>(co_await test.channel.unary("/test.Test/None", "x"));
  }(test));
  CHECK(log == "ess");
}

#if defined(__cpp_exceptions)
TEST(an_interceptor_that_throws_fails_the_call) {
  pair test;
  test.start();
  CHECK_OK(test.channel.intercept({
      .start = [](spanwire::draft &) -> status { throw std::logic_error("a secret"); },
      .event = [](spanwire::seen_event &) { throw std::logic_error("ignored"); },
  }));
  CHECK_CODE(internal, test.loop.run([](pair &test) -> task<status> {
    co_return (co_await test.channel.unary("/test.Test/Echo", "x")).status();
  }(test)));
  CHECK_OK(test.server.shutdown_blocking(10s));
}
#endif

RUN_TESTS()
