// The official interop server, on the public API of grpc C++.
//
//     server --port=PORT [--use_tls=true --tls_cert_file=F --tls_key_file=F]
//
// It listens on 127.0.0.1 only.

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>
#include <vector>

#include "as_it_came.h"
#include "flags.h"
#include "grpc/testing/test.grpc.pb.h"

namespace {

using grpc::Status;
using grpc::StatusCode;
using grpc::testing::BoolValue;
using grpc::testing::EchoStatus;
using grpc::testing::Empty;
using grpc::testing::Payload;
using grpc::testing::PayloadType;
using grpc::testing::ResponseParameters;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;
using grpc::testing::TestService;

using Stream = grpc::ServerReaderWriter<StreamingOutputCallResponse, StreamingOutputCallRequest>;

constexpr int kMaxResponse = 64 << 20;

void EchoMetadata(grpc::ServerContextBase &context) {
  for (const auto &[key, value] : context.client_metadata()) {
    const std::string text(value.data(), value.size());
    if (key == "x-grpc-test-echo-initial") context.AddInitialMetadata("x-grpc-test-echo-initial", text);
    if (key == "x-grpc-test-echo-trailing-bin") {
      context.AddTrailingMetadata("x-grpc-test-echo-trailing-bin", text);
    }
  }
}

Status StatusAskedFor(const EchoStatus &wanted) {
  return {static_cast<StatusCode>(wanted.code()), wanted.message()};
}

// Fails a request that says of itself that it came compressed, or not, if that is not so.
template <class Request>
Status Parse(const grpc::ByteBuffer &bytes, Request &request) {
  const Arrived arrived = ParseAsItCame(bytes, request);
  if (!arrived.parsed) return {StatusCode::INTERNAL, "the request cannot be read"};
  if (request.has_expect_compressed() && request.expect_compressed().value() != arrived.compressed) {
    return {StatusCode::INVALID_ARGUMENT, "the request did not come as expect_compressed says"};
  }
  return Status::OK;
}

Status FillPayload(PayloadType type, int size, Payload &payload) {
  if (type != PayloadType::COMPRESSABLE) {
    return {StatusCode::INVALID_ARGUMENT, "response_type is not COMPRESSABLE"};
  }
  if (size < 0 || size > kMaxResponse) return {StatusCode::INVALID_ARGUMENT, "no payload has that size"};
  payload.mutable_body()->assign(size, '\0');
  return Status::OK;
}

// One response for each of the parameters.
template <class Writer>
Status Respond(const StreamingOutputCallRequest &request, Writer &responses) {
  for (const ResponseParameters &parameters : request.response_parameters()) {
    std::this_thread::sleep_for(std::chrono::microseconds(parameters.interval_us()));
    StreamingOutputCallResponse response;
    Status status = FillPayload(request.response_type(), parameters.size(), *response.mutable_payload());
    if (!status.ok()) return status;
    grpc::WriteOptions options;
    if (!parameters.compressed().value()) options.set_no_compression();
    if (!responses.Write(response, options)) return Status::CANCELLED;
  }
  return Status::OK;
}

class Sum final : public grpc::ServerReadReactor<grpc::ByteBuffer> {
 public:
  explicit Sum(grpc::ByteBuffer *response) : response_(response) { StartRead(&bytes_); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      StreamingInputCallResponse sum;
      sum.set_aggregated_payload_size(sum_);
      *response_ = ToBytes(sum);
      return Finish(Status::OK);
    }
    StreamingInputCallRequest request;
    const Status status = Parse(bytes_, request);
    if (!status.ok()) return Finish(status);
    sum_ += static_cast<int>(request.payload().body().size());
    StartRead(&bytes_);
  }

  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer *const response_;
  grpc::ByteBuffer bytes_;
  int sum_ = 0;
};

// Whether a request came compressed is asked of two methods only; they take bytes. For the others, whose requests
// no case compresses, the generated code is used as it is.
class InteropService final : public TestService::WithRawCallbackMethod_UnaryCall<
                                 TestService::WithRawCallbackMethod_StreamingInputCall<TestService::Service>> {
 public:
  Status EmptyCall(grpc::ServerContext *, const Empty *, Empty *) override { return Status::OK; }

  grpc::ServerUnaryReactor *UnaryCall(grpc::CallbackServerContext *context, const grpc::ByteBuffer *bytes,
                                      grpc::ByteBuffer *response) override {
    grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
    reactor->Finish(Answer(*context, *bytes, *response));
    return reactor;
  }

  grpc::ServerReadReactor<grpc::ByteBuffer> *StreamingInputCall(grpc::CallbackServerContext *,
                                                                grpc::ByteBuffer *response) override {
    return new Sum(response);
  }

  Status StreamingOutputCall(grpc::ServerContext *context, const StreamingOutputCallRequest *request,
                             grpc::ServerWriter<StreamingOutputCallResponse> *responses) override {
    EchoMetadata(*context);
    const Status status = StatusAskedFor(request->response_status());
    if (!status.ok()) return status;
    for (const ResponseParameters &parameters : request->response_parameters()) {
      if (parameters.compressed().value()) context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    }
    return Respond(*request, *responses);
  }

  Status FullDuplexCall(grpc::ServerContext *context, Stream *stream) override {
    EchoMetadata(*context);
    // Which responses are to be compressed shows only with each request; plain ones may mix with them.
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    StreamingOutputCallRequest request;
    while (stream->Read(&request)) {
      Status status = StatusAskedFor(request.response_status());
      if (status.ok()) status = Respond(request, *stream);
      if (!status.ok()) return status;
    }
    return Status::OK;
  }

  Status HalfDuplexCall(grpc::ServerContext *context, Stream *stream) override {
    EchoMetadata(*context);
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    std::vector<StreamingOutputCallRequest> requests;
    for (StreamingOutputCallRequest request; stream->Read(&request);) requests.push_back(request);
    for (const StreamingOutputCallRequest &request : requests) {
      const Status status = Respond(request, *stream);
      if (!status.ok()) return status;
    }
    return Status::OK;
  }

 private:
  static Status Answer(grpc::CallbackServerContext &context, const grpc::ByteBuffer &bytes,
                       grpc::ByteBuffer &answer) {
    SimpleRequest request;
    Status status = Parse(bytes, request);
    if (!status.ok()) return status;
    EchoMetadata(context);
    status = StatusAskedFor(request.response_status());
    if (!status.ok()) return status;
    if (request.response_compressed().value()) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    SimpleResponse response;
    status = FillPayload(request.response_type(), request.response_size(), *response.mutable_payload());
    if (request.fill_server_id()) response.set_server_id("grpc-cpp-" + std::to_string(getpid()));
    answer = ToBytes(response);
    return status;
  }
};

// Serves until SIGTERM or SIGINT.
void Serve(const Flags &flags) {
  // Before any thread is there, so that all of them leave the signals to `sigwait`.
  sigset_t stopping;
  sigemptyset(&stopping);
  sigaddset(&stopping, SIGTERM);
  sigaddset(&stopping, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stopping, nullptr);

  auto credentials = grpc::InsecureServerCredentials();
  if (flags.IsTrue("use_tls")) {
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({flags.File("tls_key_file"), flags.File("tls_cert_file")});
    credentials = grpc::SslServerCredentials(options);
  }
  InteropService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + flags.Text("port"), credentials);
  builder.AddChannelArgument(kDecompress, 0);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  if (!server) throw std::runtime_error("cannot listen on port " + flags.Text("port"));
  int signal = 0;
  sigwait(&stopping, &signal);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
}

}  // namespace

int main(int argc, char **argv) {
  try {
    Serve(Flags(argc, argv, {{"port", "0"}, {"use_tls", "false"}, {"tls_cert_file", ""}, {"tls_key_file", ""}}));
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
