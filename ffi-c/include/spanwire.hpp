/// Spanwire for C++20: gRPC clients and servers, with coroutines or without, over the C API of spanwire.h.
/// Header-only; link with -lspanwire. It compiles with -fno-exceptions, where the functions that throw are missing.
///
/// A client:
///
///     spanwire::task<spanwire::status> ask(spanwire::channel &channel) {
///       auto answer = co_await channel.unary("/orders.Orders/Get", request, {.timeout = 1s});
///       if (!answer) co_return answer.status();
///       use(answer->message);
///       co_return {};
///     }
///     spanwire::channel channel("dns:///orders:443");
///     spanwire::loop loop;
///     spanwire::status status = loop.run(ask(channel));
///
/// A server:
///
///     spanwire::server server({.address = "0.0.0.0:50051"});
///     server.unary("/orders.Orders/Get", [](spanwire::bytes request, spanwire::context &)
///                      -> spanwire::task<spanwire::result<spanwire::bytes>> { co_return answer_to(request); });
///     spanwire::loop loop;
///     if (auto started = server.start(loop); !started) return fail(started);
///     loop.run();
///
/// Outcomes are values: `status` and `result<T>`; what throws has "throw" in its name. Objects that were moved from
/// answer FAILED_PRECONDITION. There is no global state.
#pragma once

#include "spanwire/base.hpp"
#include "spanwire/blocking_call.hpp"
#include "spanwire/bytes.hpp"
#include "spanwire/call.hpp"
#include "spanwire/channel.hpp"
#include "spanwire/interceptor.hpp"
#include "spanwire/loop.hpp"
#include "spanwire/metadata.hpp"
#include "spanwire/options.hpp"
#include "spanwire/server.hpp"
#include "spanwire/server_call.hpp"
#include "spanwire/status.hpp"
#include "spanwire/task.hpp"
