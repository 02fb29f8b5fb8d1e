// What the examples share: serving until Ctrl-C, and saying what went wrong.
#pragma once

#include <csignal>
#include <iostream>
#include <spanwire.hpp>
#include <thread>

// Serves until Ctrl-C; then running calls may finish, for five seconds at most. Says on standard output where it
// listens, in a form that clients take as their target. Answers the exit code.
inline int serve(spanwire::server &server, spanwire::loop &loop) {
  if (spanwire::status started = server.start(loop); !started) {
    std::cerr << started.message() << '\n';
    return 1;
  }
  std::cout << "listening on " << server.target() << std::endl;

  // A thread of its own takes Ctrl-C; the library's take no signals.
  sigset_t interrupts;
  sigemptyset(&interrupts);
  sigaddset(&interrupts, SIGINT);
  sigaddset(&interrupts, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &interrupts, nullptr);
  std::jthread waiting([&] {
    int number = 0;
    sigwait(&interrupts, &number);
    loop.stop();
  });
  loop.run();
  server.shutdown_blocking(std::chrono::seconds(5));
  std::cout << "bye" << std::endl;
  return 0;
}

// Prints how a call ended, unless it is OK; answers the exit code.
inline int outcome(const spanwire::status &status) {
  if (status) return 0;
  std::cerr << spanwire_code_name(static_cast<spanwire_code>(status.code())) << ": " << status.message() << '\n';
  return 1;
}
