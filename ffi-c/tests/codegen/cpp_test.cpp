// Generated clients and services in C++: all kinds as coroutines and blocking, and what cannot be answered.
#include <shop/v1/orders.spanwire.hpp>
#include <spanwire/describe.hpp>
#include <thread>

#include "../cpp/harness.hpp"

using namespace std::chrono_literals;
using namespace shop::v1;
using spanwire::code;
using spanwire::context;
using spanwire::reader_of;
using spanwire::result;
using spanwire::status;
using spanwire::task;
using spanwire::writer_of;

namespace {

struct Shop final : OrdersService {
  status place_read;  // what reading the last Place ended with

  task<result<Order>> Get(GetOrder request, context &) override {
    if (request.id() == 404) co_return status(code::not_found, "no such order");
    Order order;
    order.set_id(request.id());
    co_return order;
  }

  task<status> Watch(GetOrder request, writer_of<Update> &answers, context &) override {
    for (std::uint64_t each = 1; each <= request.id(); ++each) {
      Update update;
      update.set_state(static_cast<State>(each));
      if (status sent = co_await answers.send(update); !sent) co_return sent;
    }
    co_return {};
  }

  task<result<Order>> Place(reader_of<Line> &requests, context &) override {
    Order order;
    while (auto line = co_await requests.next()) *order.add_lines() = std::move(*line);
    place_read = requests.status();
    co_return order;
  }

  task<status> Quote(reader_of<Line> &requests, writer_of<Price> &answers, context &) override {
    while (auto line = co_await requests.next()) {
      Price price;
      price.set_article(line->article());
      price.set_cents(line->pieces() * 150);
      if (status sent = co_await answers.send(price); !sent) co_return sent;
    }
    co_return requests.status();
  }
};

struct pair {
  OrdersService *service;
  spanwire::loop loop;
  spanwire::server server{{.address = "127.0.0.1:0"}};
  spanwire::channel channel;

  explicit pair(OrdersService &of) : service(&of) {
    CHECK_OK(service->register_with(server));
    CHECK_OK(server.start(loop));
    channel = spanwire::channel(server.target());
  }
  void run(task<> work) {
    loop.run(std::move(work));
    CHECK_OK(server.shutdown_blocking(10s));
  }
};

GetOrder order_number(std::uint64_t id) {
  GetOrder request;
  request.set_id(id);
  return request;
}

Line line_of(std::string article, std::uint32_t pieces) {
  Line line;
  line.set_article(std::move(article));
  line.set_pieces(pieces);
  return line;
}

// What no message decodes from: a field that is cut off.
const std::string malformed = "\x0a\xff";

}  // namespace

TEST(unary_is_answered) {
  Shop shop;
  pair test(shop);
  test.run([](pair &test) -> task<> {
    OrdersClient orders(test.channel);
    auto order = co_await orders.Get(order_number(7), {.timeout = 10s});
    CHECK_OK(order);
    CHECK(order->id() == 7);
    auto missing = co_await orders.Get(order_number(404));
    CHECK(missing.status().code() == code::not_found);
    CHECK(missing.status().message() == "no such order");
  }(test));
}

// The request is encoded when the task is made, not when it is awaited.
TEST(a_task_outlives_its_request) {
  Shop shop;
  pair test(shop);
  OrdersClient orders(test.channel);
  GetOrder request = order_number(7);
  auto later = orders.Get(request);
  request.set_id(404);
  CHECK(test.loop.run(std::move(later))->id() == 7);
  CHECK_OK(test.server.shutdown_blocking(10s));
}

TEST(streams_pass) {
  Shop shop;
  pair test(shop);
  test.run([](pair &test) -> task<> {
    OrdersClient orders(test.channel);
    auto updates = co_await orders.Watch(order_number(3), {.timeout = 10s});
    int seen = 0;
    while (auto update = co_await updates.next()) CHECK(update->state() == ++seen);
    CHECK(seen == 3);
    CHECK_OK(co_await updates.finish());

    auto placing = co_await orders.Place();
    for (std::uint32_t each = 0; each < 50; ++each) CHECK_OK(co_await placing.send(line_of("tea", each)));
    auto order = co_await placing.response();
    CHECK_OK(order);
    CHECK(order->lines_size() == 50);
    CHECK(order->lines(49).pieces() == 49);

    auto quoting = co_await orders.Quote({.credit = 1});
    for (std::uint32_t each = 1; each <= 5; ++each) {
      CHECK_OK(co_await quoting.send(line_of("coffee", each)));
      auto price = co_await quoting.next();
      CHECK(price && price->cents() == each * 150 && price->article() == "coffee");
    }
    CHECK_OK(quoting.half_close());
    CHECK(!co_await quoting.next());
    CHECK_OK(co_await quoting.finish());
  }(test));
  CHECK_OK(shop.place_read);
}

TEST(calls_block) {
  Shop shop;
  pair test(shop);
  std::thread driver([&] { CHECK_OK(test.loop.run()); });
  OrdersClient orders(test.channel);
  CHECK(orders.GetBlocking(order_number(7), {.timeout = 10s})->id() == 7);
  CHECK(orders.GetBlocking(order_number(404)).status().code() == code::not_found);

  auto updates = orders.WatchBlocking(order_number(4));
  int seen = 0;
  for (Update &update : updates.messages()) CHECK(update.state() == ++seen);
  CHECK(seen == 4);
  CHECK_OK(updates.finish());

  auto placing = orders.PlaceBlocking();
  CHECK_OK(placing.send(line_of("tea", 1)));
  CHECK(placing.response()->lines_size() == 1);

  auto quoting = orders.QuoteBlocking();
  CHECK_OK(quoting.send(line_of("tea", 2)));
  CHECK(quoting.next()->cents() == 300);
  CHECK_OK(quoting.finish());

  CHECK_OK(test.server.shutdown_blocking(10s));
  test.loop.stop();
  driver.join();
}

TEST(what_nobody_overrides_is_unimplemented) {
  OrdersService nobody;
  pair test(nobody);
  test.run([](pair &test) -> task<> {
    OrdersClient orders(test.channel);
    auto order = co_await orders.Get(order_number(7));
    CHECK(order.status().code() == code::unimplemented);
    CHECK(order.status().message() == "/shop.v1.Orders/Get is not implemented");
    auto quoting = co_await orders.Quote();
    CHECK((co_await quoting.finish()).message() == "/shop.v1.Orders/Quote is not implemented");
  }(test));
}

TEST(requests_that_cannot_be_decoded_are_internal) {
  Shop shop;
  pair test(shop);
  test.run([](pair &test) -> task<> {
    auto order = co_await test.channel.unary("/shop.v1.Orders/Get", malformed);
    CHECK(order.status().code() == code::internal);
    CHECK(order.status().message() == "cannot decode shop.v1.GetOrder: malformed message");
    // The handler sees the end and answers; the call fails all the same.
    auto placing = co_await test.channel.client_streaming("/shop.v1.Orders/Place");
    CHECK_OK(co_await placing.send(malformed));
    CHECK((co_await placing.response()).status().message() == "cannot decode shop.v1.Line: malformed message");
    auto quoting = co_await test.channel.bidi("/shop.v1.Orders/Quote");
    CHECK_OK(co_await quoting.send(malformed));
    CHECK((co_await quoting.finish()).code() == code::internal);
  }(test));
  CHECK(shop.place_read.code() == code::internal);
}

TEST(responses_that_cannot_be_decoded_are_internal) {
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:0"});
  CHECK_OK(server.unary("/shop.v1.Orders/Get", [](spanwire::bytes, context &) -> task<result<spanwire::bytes>> {
    co_return spanwire::bytes::copy(malformed);
  }));
  CHECK_OK(server.bidi("/shop.v1.Orders/Quote",
                       [](spanwire::reader &requests, spanwire::writer &answers, context &) -> task<status> {
                         CHECK_OK(co_await answers.send(malformed));
                         while (co_await requests.next()) continue;
                         co_return requests.status();
                       }));
  CHECK_OK(server.start(loop));
  spanwire::channel channel(server.target());
  loop.run([](spanwire::channel &channel) -> task<> {
    OrdersClient orders(channel);
    auto order = co_await orders.Get(order_number(7));
    CHECK(order.status().code() == code::internal);
    CHECK(order.status().message() == "cannot decode shop.v1.Order: malformed message");
    // The call is cancelled, so that the server learns of it.
    auto quoting = co_await orders.Quote();
    CHECK(!co_await quoting.next());
    auto ended = co_await quoting.finish();
    CHECK(ended.code() == code::internal);
    CHECK(ended.message() == "cannot decode shop.v1.Price: malformed message");
  }(channel));
  CHECK_OK(server.shutdown_blocking(10s));
}

// Reflection of what libprotobuf knows: the answer has the very file.
TEST(servers_describe_their_messages) {
  const auto *file = Order::descriptor()->file();
  spanwire::loop loop;
  spanwire::server server({.address = "127.0.0.1:0", .reflection = spanwire::describe({file, file})});
  CHECK_OK(server.start(loop));
  spanwire::channel channel(server.target());
  const std::string symbol = "shop.v1.Orders";
  auto answer = channel.unary_blocking("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                       "\x22" + std::string(1, char(symbol.size())) + symbol);
  CHECK_OK(answer);
  google::protobuf::FileDescriptorProto expected;
  file->CopyTo(&expected);
  CHECK(answer->message.view().find(expected.SerializeAsString()) != std::string::npos);
  CHECK_OK(server.shutdown_blocking(10s));
}

RUN_TESTS()
