// The official interop client cases, on the public API of grpc C++.
//
//     client --server_host=127.0.0.1 --server_port=PORT --test_case=large_unary
//            [--use_tls=true --custom_ca_file=ca.pem --server_host_override=foo.test.google.fr]
//
// Exit codes: 0 the case passed, 1 it failed (the reason is on standard error), 77 grpc C++ does not offer it.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <iostream>
#include <set>
#include <sstream>
#include <thread>
#include <vector>

#include "as_it_came.h"
#include "flags.h"
#include "grpc/testing/test.grpc.pb.h"

namespace {

using grpc::Status;
using grpc::StatusCode;
using grpc::testing::EchoStatus;
using grpc::testing::Empty;
using grpc::testing::Payload;
using grpc::testing::SimpleRequest;
using grpc::testing::SimpleResponse;
using grpc::testing::StreamingInputCallRequest;
using grpc::testing::StreamingInputCallResponse;
using grpc::testing::StreamingOutputCallRequest;
using grpc::testing::StreamingOutputCallResponse;
using grpc::testing::TestService;
using grpc::testing::UnimplementedService;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kNotOfferedExit = 77;
constexpr milliseconds kCallLimit{20'000};

constexpr int kLargeRequest = 271'828;
constexpr int kLargeResponse = 314'159;
constexpr std::array kRequestSizes = {27'182, 8, 1'828, 45'904};
constexpr std::array kResponseSizes = {31'415, 9, 2'653, 58'979};
constexpr char kInitialKey[] = "x-grpc-test-echo-initial";
constexpr char kInitialValue[] = "test_initial_metadata_value";
constexpr char kTrailingKey[] = "x-grpc-test-echo-trailing-bin";
constexpr char kTrailingValue[] = "\xab\xab\xab";
constexpr char kSpecialMessage[] = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

const std::map<std::string, std::string> kNotOffered = {
    {"cacheable_unary", "grpc C++ has no cacheable calls (they would go as GET)"},
    {"orca_per_rpc", "grpc C++ shows no backend load reports"},
    {"orca_oob", "grpc C++ shows no backend load reports"},
    {"max_concurrent_streams_connection_scaling", "grpc C++ opens one connection per address"},
    {"data_frame_padding", "grpc C++ refuses padded DATA frames (unsupported data flags: 0x08)"},
};

// An assertion of a case that does not hold.
struct CaseFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void Check(bool condition, const std::string &text) {
  if (!condition) throw CaseFailed(text);
}

template <class A, class B>
void CheckEqual(const A &found, const B &wanted, const std::string &what) {
  if (found == wanted) return;
  std::ostringstream text;
  text << what << ": found " << found << ", wanted " << wanted;
  throw CaseFailed(text.str());
}

void CheckCode(const Status &status, StatusCode wanted) {
  CheckEqual(status.error_code(), wanted, "status code (" + status.error_message() + ")");
}

void CheckOk(const Status &status) { CheckCode(status, StatusCode::OK); }

// The context of one call, which no call of these cases shall outlast.
struct Context : grpc::ClientContext {
  explicit Context(milliseconds limit = kCallLimit) { set_deadline(std::chrono::system_clock::now() + limit); }
};

// What a case gets: the flags, and channels made from them.
struct Session {
  const Flags &flags;

  // A channel with a connection of its own.
  std::shared_ptr<grpc::Channel> Channel(bool decompress = true) const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(kDecompress, decompress);
    const std::string &name = flags.Text("server_host_override");
    auto credentials = grpc::InsecureChannelCredentials();
    if (flags.IsTrue("use_tls")) {
      grpc::SslCredentialsOptions options;
      options.pem_root_certs = flags.File("custom_ca_file");
      credentials = grpc::SslCredentials(options);
      if (!name.empty()) arguments.SetSslTargetNameOverride(name);
    } else if (!name.empty()) {
      arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, name);
    }
    const std::string target = flags.Text("server_host") + ":" + flags.Text("server_port");
    return grpc::CreateCustomChannel(target, credentials, arguments);
  }

  std::unique_ptr<TestService::Stub> Stub() const { return TestService::NewStub(Channel()); }
};

void FillZeros(Payload *payload, int size) { payload->mutable_body()->assign(size, '\0'); }

void CheckZeros(const Payload &payload, int size) {
  CheckEqual(payload.body().size(), static_cast<size_t>(size), "response payload bytes");
  const bool zeros = std::all_of(payload.body().begin(), payload.body().end(), [](char byte) { return byte == 0; });
  Check(zeros, "the response payload has bytes other than zero");
}

SimpleRequest LargeRequest() {
  SimpleRequest request;
  request.set_response_size(kLargeResponse);
  FillZeros(request.mutable_payload(), kLargeRequest);
  return request;
}

StreamingOutputCallRequest Ping(int request_size, int response_size) {
  StreamingOutputCallRequest request;
  request.add_response_parameters()->set_size(response_size);
  FillZeros(request.mutable_payload(), request_size);
  return request;
}

// Calls UnaryCall; the answer must be that of large_unary.
void CallLarge(TestService::Stub &stub, const SimpleRequest &request, Context &context) {
  SimpleResponse response;
  CheckOk(stub.UnaryCall(&context, request, &response));
  CheckZeros(response.payload(), kLargeResponse);
}

void CallLarge(TestService::Stub &stub) {
  Context context;
  CallLarge(stub, LargeRequest(), context);
}

Status StatusOf(TestService::Stub &stub, const SimpleRequest &request) {
  Context context;
  SimpleResponse response;
  return stub.UnaryCall(&context, request, &response);
}

void EmptyUnary(const Session &session) {
  Context context;
  Empty response;
  CheckOk(session.Stub()->EmptyCall(&context, Empty(), &response));
  CheckEqual(response.ByteSizeLong(), 0u, "response bytes");
}

void LargeUnary(const Session &session) { CallLarge(*session.Stub()); }

SimpleRequest ClaimingCompressed(bool compressed) {
  SimpleRequest request = LargeRequest();
  request.mutable_expect_compressed()->set_value(compressed);
  return request;
}

void ClientCompressedUnaryNoProbe(const Session &session) {
  const auto stub = session.Stub();
  for (const bool compressed : {true, false}) {
    Context context;
    if (compressed) context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    CallLarge(*stub, ClaimingCompressed(compressed), context);
  }
}

void ClientCompressedUnary(const Session &session) {
  CheckCode(StatusOf(*session.Stub(), ClaimingCompressed(true)), StatusCode::INVALID_ARGUMENT);
  ClientCompressedUnaryNoProbe(session);
}

// A message of a stream of requests that is sent, and claims to be sent, compressed or not.
struct Upload {
  int size;
  bool compressed;
  bool claimed;
};

Status SendUploads(const Session &session, const std::vector<Upload> &uploads, int &aggregated_payload_size) {
  const auto stub = session.Stub();
  Context context;
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  StreamingInputCallResponse response;
  const auto call = stub->StreamingInputCall(&context, &response);
  for (const Upload &upload : uploads) {
    StreamingInputCallRequest request;
    request.mutable_expect_compressed()->set_value(upload.claimed);
    FillZeros(request.mutable_payload(), upload.size);
    grpc::WriteOptions options;
    if (!upload.compressed) options.set_no_compression();
    // If this fails, the status says why.
    if (!call->Write(request, options)) break;
  }
  call->WritesDone();
  const Status status = call->Finish();
  aggregated_payload_size = response.aggregated_payload_size();
  return status;
}

void ClientCompressedStreamingNoProbe(const Session &session) {
  int sum = 0;
  CheckOk(SendUploads(session, {{27'182, true, true}, {45'904, false, false}}, sum));
  CheckEqual(sum, 73'086, "aggregated_payload_size");
}

void ClientCompressedStreaming(const Session &session) {
  int sum = 0;
  CheckCode(SendUploads(session, {{27'182, false, true}}, sum), StatusCode::INVALID_ARGUMENT);
  ClientCompressedStreamingNoProbe(session);
}

// Makes a call with one request on a channel that leaves responses compressed, and gives each response to `take`,
// with whether it came compressed. On the wire a unary call is no different from a stream of one message.
template <class Response>
void CallAsItComes(const std::shared_ptr<grpc::Channel> &channel, const std::string &method,
                   const google::protobuf::MessageLite &request,
                   const std::function<void(const Response &, bool)> &take) {
  grpc::CompletionQueue events;
  Context context;
  const auto call =
      grpc::GenericStub(channel).PrepareCall(&context, "/grpc.testing.TestService/" + method, &events);
  const auto done = [&events] {
    void *tag;
    bool ok;
    return events.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  done();
  call->WriteLast(ToBytes(request), {}, nullptr);
  done();
  grpc::ByteBuffer bytes;
  for (call->Read(&bytes, nullptr); done(); call->Read(&bytes, nullptr)) {
    Response response;
    const Arrived arrived = ParseAsItCame(bytes, response);
    Check(arrived.parsed, "a response cannot be read");
    take(response, arrived.compressed);
  }
  Status status;
  call->Finish(&status, nullptr);
  done();
  CheckOk(status);
}

void ServerCompressedUnary(const Session &session) {
  const auto channel = session.Channel(false);
  for (const bool wanted : {true, false}) {
    SimpleRequest request = LargeRequest();
    request.mutable_response_compressed()->set_value(wanted);
    int responses = 0;
    CallAsItComes<SimpleResponse>(channel, "UnaryCall", request,
                                  [&](const SimpleResponse &response, bool compressed) {
                                    CheckEqual(compressed, wanted, "response compressed");
                                    CheckZeros(response.payload(), kLargeResponse);
                                    responses++;
                                  });
    CheckEqual(responses, 1, "responses");
  }
}

void ServerCompressedStreaming(const Session &session) {
  constexpr std::array wanted = {std::pair(31'415, true), std::pair(92'653, false)};
  StreamingOutputCallRequest request;
  for (const auto &[size, compressed] : wanted) {
    auto *parameters = request.add_response_parameters();
    parameters->set_size(size);
    parameters->mutable_compressed()->set_value(compressed);
  }
  size_t found = 0;
  CallAsItComes<StreamingOutputCallResponse>(session.Channel(false), "StreamingOutputCall", request,
                                             [&](const StreamingOutputCallResponse &response, bool compressed) {
                                               Check(found < wanted.size(), "too many responses");
                                               CheckZeros(response.payload(), wanted[found].first);
                                               CheckEqual(compressed, wanted[found].second, "response compressed");
                                               found++;
                                             });
  CheckEqual(found, wanted.size(), "responses");
}

void ClientStreaming(const Session &session) {
  const auto stub = session.Stub();
  Context context;
  StreamingInputCallResponse response;
  const auto call = stub->StreamingInputCall(&context, &response);
  for (const int size : kRequestSizes) {
    StreamingInputCallRequest request;
    FillZeros(request.mutable_payload(), size);
    Check(call->Write(request), "the stream ended early");
  }
  call->WritesDone();
  CheckOk(call->Finish());
  CheckEqual(response.aggregated_payload_size(), 74'922, "aggregated_payload_size");
}

void ServerStreaming(const Session &session) {
  const auto stub = session.Stub();
  StreamingOutputCallRequest request;
  for (const int size : kResponseSizes) request.add_response_parameters()->set_size(size);
  Context context;
  const auto call = stub->StreamingOutputCall(&context, request);
  StreamingOutputCallResponse response;
  for (const int size : kResponseSizes) {
    Check(call->Read(&response), "the stream ended early");
    CheckZeros(response.payload(), size);
  }
  Check(!call->Read(&response), "too many responses");
  CheckOk(call->Finish());
}

void PingPong(const Session &session) {
  const auto stub = session.Stub();
  Context context;
  const auto call = stub->FullDuplexCall(&context);
  StreamingOutputCallResponse response;
  for (size_t index = 0; index < kRequestSizes.size(); index++) {
    Check(call->Write(Ping(kRequestSizes[index], kResponseSizes[index])), "the stream ended early");
    Check(call->Read(&response), "no response");
    CheckZeros(response.payload(), kResponseSizes[index]);
  }
  call->WritesDone();
  Check(!call->Read(&response), "a response after the half-close");
  CheckOk(call->Finish());
}

void EmptyStream(const Session &session) {
  const auto stub = session.Stub();
  Context context;
  const auto call = stub->FullDuplexCall(&context);
  call->WritesDone();
  StreamingOutputCallResponse response;
  Check(!call->Read(&response), "a response without a request");
  CheckOk(call->Finish());
}

void AddEchoed(Context &context) {
  context.AddMetadata(kInitialKey, kInitialValue);
  context.AddMetadata(kTrailingKey, kTrailingValue);
}

void CheckValue(const std::multimap<grpc::string_ref, grpc::string_ref> &metadata, const char *key,
                const char *wanted) {
  CheckEqual(metadata.count(key), 1u, std::string("values of ") + key);
  CheckEqual(metadata.find(key)->second, wanted, key);
}

void CheckEchoed(const Context &context) {
  CheckValue(context.GetServerInitialMetadata(), kInitialKey, kInitialValue);
  CheckValue(context.GetServerTrailingMetadata(), kTrailingKey, kTrailingValue);
}

void CustomMetadata(const Session &session) {
  const auto stub = session.Stub();
  Context unary;
  AddEchoed(unary);
  CallLarge(*stub, LargeRequest(), unary);
  CheckEchoed(unary);

  Context duplex;
  AddEchoed(duplex);
  const auto call = stub->FullDuplexCall(&duplex);
  call->WriteLast(Ping(kLargeRequest, kLargeResponse), {});
  StreamingOutputCallResponse response;
  Check(call->Read(&response), "no response");
  CheckZeros(response.payload(), kLargeResponse);
  Check(!call->Read(&response), "two responses");
  CheckOk(call->Finish());
  CheckEchoed(duplex);
}

EchoStatus Unknown(const char *message) {
  EchoStatus status;
  status.set_code(StatusCode::UNKNOWN);
  status.set_message(message);
  return status;
}

void CheckEchoed(const Status &status, const EchoStatus &wanted) {
  CheckEqual(status.error_code(), wanted.code(), "status code");
  CheckEqual(status.error_message(), wanted.message(), "status message");
}

void StatusCodeAndMessage(const Session &session) {
  const EchoStatus wanted = Unknown("test status message");
  const auto stub = session.Stub();
  SimpleRequest unary;
  *unary.mutable_response_status() = wanted;
  CheckEchoed(StatusOf(*stub, unary), wanted);

  StreamingOutputCallRequest request;
  *request.mutable_response_status() = wanted;
  Context context;
  const auto call = stub->FullDuplexCall(&context);
  call->WriteLast(request, {});
  StreamingOutputCallResponse response;
  Check(!call->Read(&response), "a response where a status was due");
  CheckEchoed(call->Finish(), wanted);
}

void SpecialStatusMessage(const Session &session) {
  const EchoStatus wanted = Unknown(kSpecialMessage);
  SimpleRequest request;
  *request.mutable_response_status() = wanted;
  CheckEchoed(StatusOf(*session.Stub(), request), wanted);
}

template <class Service>
void Unimplemented(const Session &session) {
  Context context;
  Empty response;
  const auto stub = Service::NewStub(session.Channel());
  CheckCode(stub->UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

void CancelAfterBegin(const Session &session) {
  const auto stub = session.Stub();
  Context context;
  StreamingInputCallResponse response;
  const auto call = stub->StreamingInputCall(&context, &response);
  context.TryCancel();
  CheckCode(call->Finish(), StatusCode::CANCELLED);
}

void CancelAfterFirstResponse(const Session &session) {
  const auto stub = session.Stub();
  Context context;
  const auto call = stub->FullDuplexCall(&context);
  Check(call->Write(Ping(kRequestSizes[0], kResponseSizes[0])), "the stream ended early");
  StreamingOutputCallResponse response;
  Check(call->Read(&response), "no response");
  CheckZeros(response.payload(), kResponseSizes[0]);
  context.TryCancel();
  Check(!call->Read(&response), "a response after the cancellation");
  CheckCode(call->Finish(), StatusCode::CANCELLED);
}

void TimeoutOnSleepingServer(const Session &session) {
  const auto stub = session.Stub();
  Context context(milliseconds(1));
  const auto call = stub->FullDuplexCall(&context);
  StreamingOutputCallRequest request;
  FillZeros(request.mutable_payload(), kRequestSizes[0]);
  // This may come too late; the receiving side has the status.
  call->Write(request);
  StreamingOutputCallResponse response;
  Check(!call->Read(&response), "a response that was not asked for");
  CheckCode(call->Finish(), StatusCode::DEADLINE_EXCEEDED);
}

void PickFirstUnary(const Session &session) {
  const auto stub = session.Stub();
  SimpleRequest request;
  request.set_response_size(1);
  FillZeros(request.mutable_payload(), 1);
  request.set_fill_server_id(true);
  std::set<std::string> servers;
  for (int number = 0; number < 100; number++) {
    Context context;
    SimpleResponse response;
    CheckOk(stub->UnaryCall(&context, request, &response));
    servers.insert(response.server_id());
  }
  CheckEqual(servers.size(), 1u, "servers that answered");
  Check(servers.count("") == 0, "the server gave no server_id");
}

// What one of the threads of a soak has done by its end.
struct Tally {
  int done = 0;
  std::vector<std::string> failures;
};

Tally SoakThread(const Session &session, bool new_channel_each_time, steady_clock::time_point end) {
  const Flags &flags = session.flags;
  const int iterations = flags.Number("soak_iterations") / flags.Number("soak_num_threads");
  const milliseconds limit(flags.Number("soak_per_iteration_max_acceptable_latency_ms"));
  const milliseconds pause(flags.Number("soak_min_time_ms_between_rpcs"));
  const int response_size = flags.Number("soak_response_size");
  SimpleRequest request;
  request.set_response_size(response_size);
  FillZeros(request.mutable_payload(), flags.Number("soak_request_size"));
  Tally tally;
  auto stub = session.Stub();
  for (; tally.done < iterations; tally.done++) {
    const auto started = steady_clock::now();
    if (started > end) break;
    if (new_channel_each_time) stub = session.Stub();
    try {
      Context context;
      SimpleResponse response;
      CheckOk(stub->UnaryCall(&context, request, &response));
      CheckZeros(response.payload(), response_size);
      Check(steady_clock::now() - started <= limit, "too slow");
    } catch (const CaseFailed &failed) {
      tally.failures.push_back("iteration " + std::to_string(tally.done) + ": " + failed.what());
    }
    std::this_thread::sleep_until(started + pause);
  }
  return tally;
}

void Soak(const Session &session, bool new_channel_each_time) {
  const Flags &flags = session.flags;
  const int threads = flags.Number("soak_num_threads");
  const auto end = steady_clock::now() + std::chrono::seconds(flags.Number("soak_overall_timeout_seconds"));
  std::vector<std::future<Tally>> running;
  for (int number = 0; number < threads; number++) {
    running.push_back(std::async(std::launch::async, SoakThread, std::cref(session), new_channel_each_time, end));
  }
  int done = 0;
  int failures = 0;
  for (auto &each : running) {
    const Tally tally = each.get();
    done += tally.done;
    failures += static_cast<int>(tally.failures.size());
    for (const std::string &failure : tally.failures) std::cerr << failure << '\n';
  }
  CheckEqual(done, flags.Number("soak_iterations") / threads * threads, "iterations within the overall time");
  Check(failures <= flags.Number("soak_max_failures"), std::to_string(failures) + " failures");
}

void Goaway(const Session &session) {
  const auto stub = session.Stub();
  CallLarge(*stub);
  // The official procedure waits here, so that GOAWAY is there before the second call.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  CallLarge(*stub);
}

void CallMustFail(const Session &session) {
  Check(!StatusOf(*session.Stub(), LargeRequest()).ok(), "the call succeeded, an error was due");
}

void MaxStreams(const Session &session) {
  const auto stub = session.Stub();
  CallLarge(*stub);
  std::vector<std::future<void>> calls;
  for (int number = 0; number < 10; number++) {
    calls.push_back(std::async(std::launch::async, [&stub] { CallLarge(*stub); }));
  }
  for (auto &call : calls) call.get();
}

const std::map<std::string, std::function<void(const Session &)>> kCases = {
    {"empty_unary", EmptyUnary},
    {"large_unary", LargeUnary},
    {"client_compressed_unary", ClientCompressedUnary},
    {"client_compressed_unary_noprobe", ClientCompressedUnaryNoProbe},
    {"server_compressed_unary", ServerCompressedUnary},
    {"client_streaming", ClientStreaming},
    {"client_compressed_streaming", ClientCompressedStreaming},
    {"client_compressed_streaming_noprobe", ClientCompressedStreamingNoProbe},
    {"server_streaming", ServerStreaming},
    {"server_compressed_streaming", ServerCompressedStreaming},
    {"ping_pong", PingPong},
    {"empty_stream", EmptyStream},
    {"custom_metadata", CustomMetadata},
    {"status_code_and_message", StatusCodeAndMessage},
    {"special_status_message", SpecialStatusMessage},
    {"unimplemented_method", Unimplemented<TestService>},
    {"unimplemented_service", Unimplemented<UnimplementedService>},
    {"cancel_after_begin", CancelAfterBegin},
    {"cancel_after_first_response", CancelAfterFirstResponse},
    {"timeout_on_sleeping_server", TimeoutOnSleepingServer},
    {"pick_first_unary", PickFirstUnary},
    {"rpc_soak", [](const Session &session) { Soak(session, false); }},
    {"channel_soak", [](const Session &session) { Soak(session, true); }},
    {"goaway", Goaway},
    {"rst_after_header", CallMustFail},
    {"rst_during_data", CallMustFail},
    {"rst_after_data", CallMustFail},
    {"ping", LargeUnary},
    {"max_streams", MaxStreams},
    {"no_df_padding_sanity_test", LargeUnary},
};

int RunCase(const Flags &flags) {
  const std::string &name = flags.Text("test_case");
  const auto found = kCases.find(name);
  if (found == kCases.end()) {
    const auto reason = kNotOffered.find(name);
    const std::string &text = reason == kNotOffered.end() ? "unknown case" : reason->second;
    std::cerr << name << ": not offered: " << text << '\n';
    return kNotOfferedExit;
  }
  try {
    found->second({flags});
  } catch (const std::exception &error) {
    std::cerr << name << ": FAIL: " << error.what() << '\n';
    return 1;
  }
  std::cout << name << ": pass\n";
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    return RunCase(Flags(argc, argv,
                         {
                             {"server_host", "127.0.0.1"},
                             {"server_port", "0"},
                             {"server_host_override", ""},
                             {"test_case", ""},
                             {"use_tls", "false"},
                             {"custom_ca_file", ""},
                             {"soak_iterations", "10"},
                             {"soak_max_failures", "0"},
                             {"soak_per_iteration_max_acceptable_latency_ms", "1000"},
                             {"soak_overall_timeout_seconds", "10"},
                             {"soak_min_time_ms_between_rpcs", "0"},
                             {"soak_request_size", std::to_string(kLargeRequest)},
                             {"soak_response_size", std::to_string(kLargeResponse)},
                             {"soak_num_threads", "1"},
                         }));
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
