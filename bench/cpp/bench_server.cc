// Serves bench.v1.Echo with the callback API of grpc C++ until it is killed.

#include <grpcpp/grpcpp.h>

#include <iostream>
#include <string>

#include "bench/v1/echo.grpc.pb.h"

namespace {

using bench::v1::Block;
using bench::v1::Echo;
using grpc::CallbackServerContext;
using grpc::Status;

// The largest body that is sent on request, in bytes.
constexpr uint64_t kMaxBodyBytes = 64 << 20;

class Down final : public grpc::ServerWriteReactor<Block> {
 public:
  explicit Down(const Block &request) : left_(request.count()) {
    if (request.size_bytes() > kMaxBodyBytes) {
      Finish({grpc::StatusCode::INVALID_ARGUMENT, "size_bytes is too large"});
      return;
    }
    block_.mutable_body()->resize(request.size_bytes());
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (ok) return Next();
    Finish(Status::CANCELLED);
  }

  void OnDone() override { delete this; }

 private:
  void Next() {
    if (left_ == 0) return Finish(Status::OK);
    left_--;
    StartWrite(&block_);
  }

  uint64_t left_;
  Block block_;
};

class Up final : public grpc::ServerReadReactor<Block> {
 public:
  explicit Up(Block *counted) : counted_(counted) { StartRead(&block_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(Status::OK);
    counted_->set_count(counted_->count() + 1);
    counted_->set_size_bytes(counted_->size_bytes() + block_.body().size());
    StartRead(&block_);
  }

  void OnDone() override { delete this; }

 private:
  Block *const counted_;
  Block block_;
};

class Bidi final : public grpc::ServerBidiReactor<Block, Block> {
 public:
  Bidi() { StartRead(&block_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(Status::OK);
    StartWrite(&block_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(Status::CANCELLED);
    StartRead(&block_);
  }

  void OnDone() override { delete this; }

 private:
  Block block_;
};

class EchoService final : public Echo::CallbackService {
 public:
  grpc::ServerUnaryReactor *Unary(CallbackServerContext *context, const Block *request, Block *response) override {
    *response = *request;
    grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
    reactor->Finish(Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<Block> *Down(CallbackServerContext *, const Block *request) override {
    return new ::Down(*request);
  }

  grpc::ServerReadReactor<Block> *Up(CallbackServerContext *, Block *response) override {
    return new ::Up(response);
  }

  grpc::ServerBidiReactor<Block, Block> *Bidi(CallbackServerContext *) override { return new ::Bidi; }
};

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) {
    std::cerr << "usage: server PORT\n";
    return 2;
  }
  EchoService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(std::string("127.0.0.1:") + argv[1], grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) return 1;
  server->Wait();
}
