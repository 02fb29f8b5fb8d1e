// Loads a server of bench.v1.Echo with the callback API of grpc C++ and prints what it did as one line of JSON.

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bench/v1/echo.grpc.pb.h"
#include "latencies.h"

namespace {

using bench::v1::Block;
using bench::v1::Echo;
using grpc::Status;
using Clock = std::chrono::steady_clock;

// A run with an error has no result.
[[noreturn]] void Die(const std::string &text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  std::_Exit(1);
}

void CheckOk(const Status &status) {
  if (!status.ok()) Die("status " + std::to_string(status.error_code()) + ": " + status.error_message());
}

void CheckSize(const Block &sent, const Block &received) {
  if (sent.body().size() == received.body().size()) return;
  Die("sent " + std::to_string(sent.body().size()) + " bytes, " + std::to_string(received.body().size()) +
      " came back");
}

// Lets the main thread wait until all workers got somewhere.
class Arrivals {
 public:
  explicit Arrivals(int awaited) : left_(awaited) {}

  void Arrive() {
    const std::lock_guard lock(mutex_);
    if (--left_ == 0) all_here_.notify_one();
  }

  void Wait() {
    std::unique_lock lock(mutex_);
    all_here_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  int left_;
};

// What all workers of a run share.
struct Run {
  Echo::Stub &stub;
  Block block;
  bool timed;
  // Looking at the clock takes as long as a small message does.
  uint64_t batch;
  Arrivals ready;
  Arrivals finished;
};

// One of those that load a server: a caller of unary calls, or one stream. Its callbacks come one at a time.
class Worker {
 public:
  explicit Worker(Run &run) : run_(run) {}
  virtual ~Worker() = default;

  // The first round, before the clock runs: connecting and the start of a stream are no part of what is measured.
  virtual void Begin() = 0;

  // All further rounds, until a point in time.
  void Go(Clock::time_point until) {
    until_ = until;
    last_ = Clock::now();
    Round();
  }

  uint64_t calls() const { return calls_; }
  const Latencies &latencies() const { return latencies_; }

 protected:
  // Starts one call, or one message of a stream.
  virtual void Round() = 0;
  // Starts what comes after the last round.
  virtual void End() = 0;

  // A round is over. Starts the next one, if there is time left.
  void RoundDone() {
    if (!ready_) {
      ready_ = true;
      return run_.ready.Arrive();
    }
    calls_++;
    if (run_.timed) {
      const auto now = Clock::now();
      latencies_.Add(now - last_);
      last_ = now;
    } else if (calls_ % run_.batch == 0) {
      last_ = Clock::now();
    }
    last_ < until_ ? Round() : End();
  }

  void Finished() { run_.finished.Arrive(); }

  Run &run_;

 private:
  bool ready_ = false;
  uint64_t calls_ = 0;
  Clock::time_point until_;
  Clock::time_point last_;
  Latencies latencies_;
};

class Unary final : public Worker {
 public:
  using Worker::Worker;

  void Begin() override { Round(); }

 private:
  void Round() override {
    context_.emplace();
    run_.stub.async()->Unary(&*context_, &run_.block, &reply_, [this](const Status &status) {
      CheckOk(status);
      CheckSize(run_.block, reply_);
      RoundDone();
    });
  }

  void End() override { Finished(); }

  std::optional<grpc::ClientContext> context_;
  Block reply_;
};

// For the streams: rounds begin outside of their callbacks, which needs a hold on the stream until the last one.

class PingPong final : public Worker, private grpc::ClientBidiReactor<Block, Block> {
 public:
  using Worker::Worker;

  void Begin() override {
    run_.stub.async()->Bidi(&context_, this);
    AddHold();
    StartCall();
    Round();
  }

 private:
  void Round() override {
    halves_left_ = 2;
    StartRead(&reply_);
    StartWrite(&run_.block);
  }

  void OnReadDone(bool ok) override { HalfDone(ok); }
  void OnWriteDone(bool ok) override { HalfDone(ok); }

  // The reply may be there before the library says that the message is away, and both may be told at once.
  void HalfDone(bool ok) {
    if (!ok) broken_ = true;
    if (--halves_left_ > 0) return;
    // OnDone says why.
    if (broken_) return RemoveHold();
    CheckSize(run_.block, reply_);
    RoundDone();
  }

  void End() override {
    ended_ = true;
    StartWritesDone();
    RemoveHold();
  }

  void OnDone(const Status &status) override {
    CheckOk(status);
    if (!ended_) Die("the stream ended early");
    Finished();
  }

  grpc::ClientContext context_;
  Block reply_;
  std::atomic<int> halves_left_ = 0;
  std::atomic<bool> broken_ = false;
  bool ended_ = false;
};

class Down final : public Worker, private grpc::ClientReadReactor<Block> {
 public:
  using Worker::Worker;

  void Begin() override {
    wish_.set_count(std::numeric_limits<uint64_t>::max());
    wish_.set_size_bytes(run_.block.body().size());
    run_.stub.async()->Down(&context_, &wish_, this);
    AddHold();
    StartCall();
    Round();
  }

 private:
  void Round() override { StartRead(&block_); }

  void OnReadDone(bool ok) override {
    if (!ok) return RemoveHold();
    CheckSize(run_.block, block_);
    RoundDone();
  }

  void End() override {
    ended_ = true;
    context_.TryCancel();
    RemoveHold();
  }

  void OnDone(const Status &status) override {
    if (!ended_) {
      CheckOk(status);
      Die("the stream ended early");
    }
    Finished();
  }

  grpc::ClientContext context_;
  Block wish_;
  Block block_;
  bool ended_ = false;
};

class Up final : public Worker, private grpc::ClientWriteReactor<Block> {
 public:
  using Worker::Worker;

  void Begin() override {
    run_.stub.async()->Up(&context_, &counted_, this);
    AddHold();
    StartCall();
    Round();
  }

 private:
  void Round() override { StartWrite(&run_.block); }

  void OnWriteDone(bool ok) override {
    if (!ok) return RemoveHold();
    RoundDone();
  }

  void End() override {
    StartWritesDone();
    RemoveHold();
  }

  void OnDone(const Status &status) override {
    CheckOk(status);
    // One more: the round before the start.
    const uint64_t sent = calls() + 1;
    if (counted_.count() != sent) {
      Die("sent " + std::to_string(sent) + " messages, the server has seen " + std::to_string(counted_.count()));
    }
    Finished();
  }

  grpc::ClientContext context_;
  Block counted_;
};

std::unique_ptr<Worker> MakeWorker(const std::string &mode, Run &run) {
  if (mode == "unary") return std::make_unique<Unary>(run);
  if (mode == "ping_pong") return std::make_unique<PingPong>(run);
  if (mode == "down") return std::make_unique<Down>(run);
  if (mode == "up") return std::make_unique<Up>(run);
  Die("no mode " + mode + ": unary, ping_pong, down or up");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 6) Die("usage: client PORT SECONDS IN_FLIGHT SIZE MODE");
  const auto channel = grpc::CreateChannel(std::string("127.0.0.1:") + argv[1], grpc::InsecureChannelCredentials());
  const auto stub = Echo::NewStub(channel);
  const std::chrono::duration<double> seconds(std::atof(argv[2]));
  const int in_flight = std::atoi(argv[3]);
  const int size = std::atoi(argv[4]);
  const std::string mode = argv[5];

  Run run{*stub,
          {},
          mode == "unary" || mode == "ping_pong",
          static_cast<uint64_t>(64 * 1024 / std::max(size, 256)),
          Arrivals(in_flight),
          Arrivals(in_flight)};
  run.batch = std::max<uint64_t>(run.batch, 1);
  run.block.mutable_body()->resize(size);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int number = 0; number < in_flight; number++) workers.push_back(MakeWorker(mode, run));
  for (const auto &worker : workers) worker->Begin();
  run.ready.Wait();

  const auto began = Clock::now();
  const auto until = began + std::chrono::duration_cast<Clock::duration>(seconds);
  for (const auto &worker : workers) worker->Go(until);
  run.finished.Wait();
  const std::chrono::duration<double> elapsed = Clock::now() - began;

  uint64_t calls = 0;
  Latencies latencies;
  for (const auto &worker : workers) {
    calls += worker->calls();
    latencies.Merge(worker->latencies());
  }
  std::printf("{\"calls\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
              static_cast<unsigned long long>(calls), elapsed.count(), latencies.PercentileMicros(0.5),
              latencies.PercentileMicros(0.99));
}
