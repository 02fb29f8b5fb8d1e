// A small harness: TEST(name) { CHECK(...); } and one main() per file. Every test is bounded in time, and must
// leave no handle behind.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <spanwire.hpp>

namespace harness {

using namespace std::chrono_literals;

// A test that takes longer than this hangs. Valgrind is slow.
constexpr unsigned limit_s = 120;

struct test {
  const char *name;
  void (*run)();
  test *next;
};

inline test *&tests() {
  static test *first = nullptr;
  return first;
}

struct registration {
  test entry;
  registration(const char *name, void (*run)()) : entry{name, run, nullptr} {
    test **last = &tests();
    while (*last != nullptr) last = &(*last)->next;
    *last = &entry;
  }
};

[[noreturn]] inline void fail(const char *file, int line, const char *what, const std::string &more = "") {
  std::fprintf(stderr, "%s:%d: %s%s%s\n", file, line, what, more.empty() ? "" : ": ", more.c_str());
  std::_Exit(1);
}

inline std::string shown(const spanwire::status &status) { return status.to_string(); }
template <class T>
std::string shown(const spanwire::result<T> &result) {
  return result.status().to_string();
}
template <class T>
std::string shown(const T &) {
  return {};
}

/// Runs all tests, or those whose name contains the first argument.
inline int main(int count, char **arguments) {
  for (test *each = tests(); each != nullptr; each = each->next) {
    if (count > 1 && std::strstr(each->name, arguments[1]) == nullptr) continue;
    std::size_t before = spanwire_handle_count();
    alarm(limit_s);
    std::printf("%s\n", each->name);
    std::fflush(stdout);
    each->run();
    alarm(0);
    if (std::size_t after = spanwire_handle_count(); after != before) {
      fail(each->name, 0, "handles are left",
           std::to_string(before) + " before, " + std::to_string(after) + " after");
    }
  }
  return 0;
}

/// Lets coroutines of one loop wait for each other. One waiter.
class gate {
 public:
  void open() {
    open_ = true;
    if (waiter_) std::exchange(waiter_, nullptr).resume();
  }
  bool waited_for() const { return static_cast<bool>(waiter_); }
  auto operator co_await() noexcept {
    struct awaiter {
      gate &of;
      bool await_ready() const noexcept { return of.open_; }
      void await_suspend(std::coroutine_handle<> caller) const noexcept { of.waiter_ = caller; }
      void await_resume() const noexcept {}
    };
    return awaiter{*this};
  }

 private:
  bool open_ = false;
  std::coroutine_handle<> waiter_;
};

}  // namespace harness

using namespace std::chrono_literals;

#define TEST(name)                                               \
  static void name();                                            \
  static harness::registration registration_##name(#name, name); \
  static void name()
// For the end of the file.
#define RUN_TESTS() \
  int main(int count, char **arguments) { return harness::main(count, arguments); }

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : harness::fail(__FILE__, __LINE__, "CHECK(" #condition ")"))
// For a status or result: says which it was.
#define CHECK_OK(outcome)                                                                                 \
  do {                                                                                                    \
    const auto &outcome_ = (outcome);                                                                     \
    if (!outcome_.ok()) harness::fail(__FILE__, __LINE__, "not OK: " #outcome, harness::shown(outcome_)); \
  } while (false)
#define CHECK_CODE(expected, outcome)                                                              \
  do {                                                                                             \
    const spanwire::status outcome_ = (outcome);                                                   \
    if (outcome_.code() != spanwire::code::expected)                                               \
      harness::fail(__FILE__, __LINE__, "not " #expected ": " #outcome, harness::shown(outcome_)); \
  } while (false)
