// Calls without a loop, of a server whose loop another thread drives.
#include <semaphore>
#include <thread>

#include "service.hpp"

using namespace service;
using spanwire::blocking_call;

namespace {

/// The pair, with a thread that drives the loop.
struct driven_pair {
  pair test;
  std::thread thread;

  void start(const spanwire::channel_options &options = {}) {
    test.start(options);
    thread = std::thread([this] { CHECK_OK(test.loop.run()); });
  }
  ~driven_pair() {
    CHECK_OK(test.server.shutdown_blocking(10s));
    test.loop.stop();
    thread.join();
  }
  spanwire::channel &channel() { return test.channel; }
};

}  // namespace

TEST(unary_blocks) {
  driven_pair pair;
  pair.start();
  auto answer =
      pair.channel().unary_blocking("/test.Test/Echo", "hello", {.timeout = 10s, .metadata = {{"x-a", "1"}}});
  CHECK_OK(answer);
  CHECK(text(answer->message) == "hello");
  CHECK(answer->headers.find("x-a") == "1");
  CHECK(answer->trailers.find("x-a") == "1");
  auto refused = pair.channel().unary_blocking("/test.Test/Refuse", "7");
  CHECK_CODE(permission_denied, refused.status());
  CHECK(refused.status().trailers().contains("x-why"));
  std::string big(3 << 20, 'x');
  CHECK(pair.channel().unary_blocking("/test.Test/Echo", std::string(big))->message.view() == big);
}

TEST(streams_block) {
  driven_pair pair;
  pair.start();
  blocking_call answers = pair.channel().server_streaming_blocking("/test.Test/Count", "300");
  CHECK_OK(answers.headers());
  int seen = 0;
  for (auto &message : answers.messages()) CHECK(text(message) == std::to_string(seen++));
  CHECK(seen == 300);
  CHECK_OK(answers.finish());
  CHECK(!answers.next());

  blocking_call requests = pair.channel().client_streaming_blocking("/test.Test/Join");
  for (int each = 0; each < 300; ++each) CHECK_OK(requests.send("ab"));
  auto answer = requests.response();
  CHECK_OK(answer);
  CHECK(answer->message.size() == 600);

  blocking_call chat = pair.channel().bidi_blocking("/test.Test/Chat", {.credit = 1});
  for (int each = 0; each < 50; ++each) {
    CHECK_OK(chat.send(std::to_string(each)));
    CHECK(text(*chat.next()) == std::to_string(each));
  }
  CHECK_OK(chat.half_close());
  CHECK_OK(chat.finish());
  CHECK_CODE(failed_precondition, chat.send("late"));
}

TEST(a_blocking_sender_is_held_up) {
  driven_pair pair;
  pair.start();
  blocking_call requests = pair.channel().client_streaming_blocking("/test.Test/Join");
  // More than all windows together; waits for room on the way.
  for (int each = 0; each < 100; ++each) CHECK_OK(requests.send(std::string(100'000, 'x')));
  auto answer = requests.response();
  CHECK_CODE(resource_exhausted, answer.status());  // it is larger than the client takes
}

TEST(the_rest_is_dropped) {
  driven_pair pair;
  pair.start();
  blocking_call answers = pair.channel().server_streaming_blocking("/test.Test/Count", "5000", {.credit = 3});
  CHECK(text(*answers.next()) == "0");
  CHECK_OK(answers.finish());
  for (auto &message : answers.messages()) {
    static_cast<void>(message);
    CHECK(false);
  }
  // An iteration that is left early goes on where it was.
  blocking_call again = pair.channel().server_streaming_blocking("/test.Test/Count", "3");
  for (auto &message : again.messages()) {
    CHECK(text(message) == "0");
    break;
  }
  CHECK(text(*again.next()) == "1");
}

TEST(deadlines_and_cancels_wake_a_blocked_thread) {
  std::counting_semaphore<> begun{0};
  driven_pair pair;
  CHECK_OK(
      pair.test.server.bidi("/test.Test/Wait", [&](reader &requests, writer &, context &context) -> task<status> {
        if (auto first = co_await requests.next(); first && !first->empty()) begun.release();
        CHECK_CODE(cancelled, co_await context.until_cancelled());
        co_return {};
      }));
  pair.start();
  CHECK_CODE(deadline_exceeded, pair.channel().unary_blocking("/test.Test/Wait", "", {.timeout = 50ms}).status());
  blocking_call late = pair.channel().bidi_blocking("/test.Test/Wait", {.timeout = 50ms});
  CHECK(!late.next());
  CHECK_CODE(deadline_exceeded, late.finish());

  blocking_call waiting = pair.channel().bidi_blocking("/test.Test/Wait");
  CHECK_OK(waiting.send("x"));
  std::thread other([&] {
    begun.acquire();
    waiting.cancel();
  });
  CHECK(!waiting.next());
  CHECK_CODE(cancelled, waiting.finish());
  other.join();

  std::stop_source stop;
  std::thread third([&] {
    begun.acquire();
    stop.request_stop();
  });
  blocking_call stopped = pair.channel().bidi_blocking("/test.Test/Wait", {.stop = stop.get_token()});
  CHECK_OK(stopped.send("x"));
  CHECK_CODE(cancelled, stopped.finish());
  third.join();
}

TEST(a_stop_token_ends_a_blocking_unary_call) {
  std::stop_source stop;
  driven_pair pair;
  CHECK_OK(pair.test.server.unary("/test.Test/Wait", [&](bytes, context &context) -> task<result<bytes>> {
    stop.request_stop();
    co_return co_await context.until_cancelled();
  }));
  pair.start();
  CHECK_OK(pair.channel().unary_blocking("/test.Test/Echo", "", {.stop = stop.get_token()}));
  CHECK_CODE(cancelled, pair.channel().unary_blocking("/test.Test/Wait", "", {.stop = stop.get_token()}).status());
  CHECK_CODE(cancelled, pair.channel().unary_blocking("/test.Test/Echo", "", {.stop = stop.get_token()}).status());
}

TEST(threads_share_a_channel) {
  driven_pair pair;
  pair.start();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&pair, thread] {
      for (int each = 0; each < 50; ++each) {
        std::string mine = std::to_string(thread) + "/" + std::to_string(each);
        auto answer = pair.channel().unary_blocking("/test.Test/Echo", mine);
        CHECK_OK(answer);
        CHECK(text(answer->message) == mine);
      }
    });
  }
  for (std::thread &thread : threads) thread.join();
}

TEST(loops_share_a_channel) {
  driven_pair pair;
  pair.start();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&pair] {
      spanwire::loop loop;
      loop.run([](spanwire::channel &channel) -> task<> {
        for (int each = 0; each < 50; ++each) {
          spanwire::call chat = co_await channel.bidi("/test.Test/Chat");
          CHECK_OK(co_await chat.send(std::string("hello")));
          CHECK(text(*co_await chat.next()) == "hello");
          CHECK_OK(co_await chat.finish());
        }
      }(pair.channel()));
    });
  }
  for (std::thread &thread : threads) thread.join();
}

TEST(a_coroutine_comes_back_from_another_thread) {
  spanwire::loop loop;
  struct elsewhere {
    std::thread &worker;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) const {
      worker = std::thread([caller] { caller.resume(); });
    }
    void await_resume() const noexcept {}
  };
  std::thread worker;
  loop.run([](spanwire::loop &loop, std::thread &worker) -> task<> {
    // Not std::this_thread::get_id(), whose value clang keeps across a suspension.
    const pid_t home = gettid();
    co_await elsewhere{worker};
    CHECK(gettid() != home);
    co_await loop.schedule();
    CHECK(gettid() == home);
  }(loop, worker));
  worker.join();
}

TEST(other_threads_post_and_stop) {
  spanwire::loop loop;
  int ran = 0;
  std::thread poster([&] {
    for (int each = 0; each < 100; ++each) loop.post([&] { ++ran; });
    loop.post([&] { loop.stop(); });
  });
  CHECK_OK(loop.run());
  poster.join();
  CHECK(ran == 100);
  loop.stop();
  CHECK_OK(loop.run());
}

RUN_TESTS()
