// What generated clients call, and how generated services are added to a server.
#pragma once

namespace spanwire {

/// For generated code: the functions behind its own.
namespace generated {

/// A unary call. The request is encoded already: the coroutine refers to nothing but the channel.
template <message Response>
task<result<Response>> unary(const channel &channel, zstring method, result<std::string> request,
                             call_options options) {
  if (!request) co_return request.status();
  result<response> answer = co_await channel.unary(method, buffer(std::move(*request)), std::move(options));
  if (!answer) co_return answer.status();
  co_return decode<Response>(answer->message);
}

template <message Response>
task<server_streaming_call<Response>> server_streaming(const channel &channel, zstring method,
                                                       result<std::string> request, call_options options) {
  if (!request) co_return server_streaming_call<Response>(request.status());
  co_return server_streaming_call<Response>(
      co_await channel.server_streaming(method, buffer(std::move(*request)), std::move(options)));
}

template <message Request, message Response>
task<client_streaming_call<Request, Response>> client_streaming(const channel &channel, zstring method,
                                                                call_options options) {
  co_return client_streaming_call<Request, Response>(co_await channel.client_streaming(method, std::move(options)));
}

template <message Request, message Response>
task<bidi_call<Request, Response>> bidi(const channel &channel, zstring method, call_options options) {
  co_return bidi_call<Request, Response>(co_await channel.bidi(method, std::move(options)));
}

template <message Response>
result<Response> unary_blocking(const channel &channel, zstring method, result<std::string> request,
                                const call_options &options) {
  if (!request) return request.status();
  result<response> answer = channel.unary_blocking(method, buffer(std::move(*request)), options);
  if (!answer) return answer.status();
  return decode<Response>(answer->message);
}

template <message Response>
blocking_server_streaming_call<Response> server_streaming_blocking(const channel &channel, zstring method,
                                                                   result<std::string> request,
                                                                   const call_options &options) {
  using made = blocking_server_streaming_call<Response>;
  if (!request) return made(request.status());
  return made(channel.server_streaming_blocking(method, buffer(std::move(*request)), options));
}

template <message Request, message Response>
blocking_client_streaming_call<Request, Response> client_streaming_blocking(const channel &channel, zstring method,
                                                                            const call_options &options) {
  return blocking_client_streaming_call<Request, Response>(channel.client_streaming_blocking(method, options));
}

template <message Request, message Response>
blocking_bidi_call<Request, Response> bidi_blocking(const channel &channel, zstring method,
                                                    const call_options &options) {
  return blocking_bidi_call<Request, Response>(channel.bidi_blocking(method, options));
}

/// What a method answers that nobody implemented; `method` is a literal.
template <class T>
task<T> unimplemented(const char *method) {
  co_return T(status(code::unimplemented, std::string(method) + " is not implemented"));
}

template <message T>
result<bytes> encoded(const T &answer) {
  result<std::string> text = encode(answer);
  if (!text) return text.status();
  return bytes(std::move(*text));
}

/// Adds a method that `service` implements with a member function; it must outlive the server.
template <class Service, message Request, message Response>
status add(server &server, zstring method, Service *service,
           task<result<Response>> (Service::*handler)(Request, context &)) {
  return server.unary(method, [=](bytes data, context &context) -> task<result<bytes>> {
    result<Request> request = decode<Request>(data);
    if (!request) co_return request.status();
    result<Response> answer = co_await (service->*handler)(std::move(*request), context);
    if (!answer) co_return answer.status();
    co_return encoded(*answer);
  });
}

template <class Service, message Request, message Response>
status add(server &server, zstring method, Service *service,
           task<status> (Service::*handler)(Request, writer_of<Response> &, context &)) {
  return server.server_streaming(method, [=](bytes data, writer &to, context &context) -> task<status> {
    result<Request> request = decode<Request>(data);
    if (!request) co_return request.status();
    writer_of<Response> answers(to);
    co_return co_await (service->*handler)(std::move(*request), answers, context);
  });
}

template <class Service, message Request, message Response>
status add(server &server, zstring method, Service *service,
           task<result<Response>> (Service::*handler)(reader_of<Request> &, context &)) {
  return server.client_streaming(method, [=](reader &from, context &context) -> task<result<bytes>> {
    reader_of<Request> requests(from);
    result<Response> answer = co_await (service->*handler)(requests, context);
    if (!requests.failure().ok()) co_return requests.failure();
    if (!answer) co_return answer.status();
    co_return encoded(*answer);
  });
}

template <class Service, message Request, message Response>
status add(server &server, zstring method, Service *service,
           task<status> (Service::*handler)(reader_of<Request> &, writer_of<Response> &, context &)) {
  return server.bidi(method, [=](reader &from, writer &to, context &context) -> task<status> {
    reader_of<Request> requests(from);
    writer_of<Response> answers(to);
    status ended = co_await (service->*handler)(requests, answers, context);
    co_return requests.failure().ok() ? ended : requests.failure();
  });
}

}  // namespace generated

}  // namespace spanwire
