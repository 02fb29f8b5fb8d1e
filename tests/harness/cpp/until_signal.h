// Serving until somebody wants an end.
#pragma once

#include <pthread.h>

#include <csignal>
#include <spanwire.hpp>
#include <thread>

// Waits for the signals that end a server, on a thread of its own, and stops the loop then.
class until_signal {
 public:
  // Made before any other thread, so that all of them leave the signals to this one.
  until_signal() {
    sigemptyset(&stopping_);
    sigaddset(&stopping_, SIGTERM);
    sigaddset(&stopping_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stopping_, nullptr);
  }
  void watch(spanwire::loop &loop) {
    thread_ = std::jthread([this, &loop] {
      int signal = 0;
      sigwait(&stopping_, &signal);
      loop.stop();
    });
  }

 private:
  sigset_t stopping_;
  std::jthread thread_;
};
