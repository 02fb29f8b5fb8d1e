// TLS, mutual TLS and interceptors.
#include "service.hpp"

using namespace service;

namespace {

/// The certificates of certs.sh beside this folder: those in SPANWIRE_TEST_CERTS, or new ones that go with this.
struct certificates {
  std::string folder;
  bool made = false;

  certificates() {
    if (const char *ready = std::getenv("SPANWIRE_TEST_CERTS"); ready != nullptr) {
      folder = ready;
      return;
    }
    char name[] = "/tmp/spanwire-certs-XXXXXX";
    CHECK(mkdtemp(name) != nullptr);
    folder = name;
    made = true;
    std::string source = __FILE__;
    std::string script = source.substr(0, source.rfind('/') + 1) + "../certs.sh";
    CHECK(std::system(("bash '" + script + "' " + folder).c_str()) == 0);
  }
  certificates(const certificates &) = delete;
  certificates &operator=(const certificates &) = delete;
  ~certificates() {
    if (made) CHECK(std::system(("rm -r " + folder).c_str()) == 0);
  }

  std::string file(const char *name) const { return folder + "/" + name; }
  std::string text(const char *name) const {
    std::string all;
    FILE *stream = std::fopen(file(name).c_str(), "r");
    CHECK(stream != nullptr);
    for (int byte; (byte = std::fgetc(stream)) != EOF;) all.push_back(static_cast<char>(byte));
    std::fclose(stream);
    return all;
  }
  spanwire::tls_options server() const {
    return {.certificate_file = file("server.pem"), .key_file = file("server.key")};
  }
};

}  // namespace

TEST(tls_is_checked) {
  certificates made;
  pair test({.tls = made.server()});
  CHECK_OK(test.server.unary("/test.Test/Peer", [](bytes, context &context) -> task<result<bytes>> {
    co_return bytes::copy(context.peer_certificate());
  }));
  test.start({.tls = spanwire::tls_options{.ca_file = made.file("ca.pem")}});
  test.run([](pair &test, certificates &made) -> task<> {
    CHECK_OK(co_await test.channel.unary("/test.Test/Echo", "x"));
    CHECK((co_await test.channel.unary("/test.Test/Peer", "x"))->message.empty());
    spanwire::channel text(test.server.target(), {.tls = spanwire::tls_options{.ca_pem = made.text("ca.pem")}});
    CHECK_OK(co_await text.unary("/test.Test/Echo", "x"));
    spanwire::channel distrusts(test.server.target(),
                                {.tls = spanwire::tls_options{.ca_file = made.file("other.pem")}});
    CHECK_CODE(unavailable, (co_await distrusts.unary("/test.Test/Echo", "x")).status());
    spanwire::channel elsewhere(
        test.server.target(),
        {.tls = spanwire::tls_options{.ca_file = made.file("ca.pem"), .server_name = "shop.example"}});
    CHECK_CODE(unavailable, (co_await elsewhere.unary("/test.Test/Echo", "x")).status());
    spanwire::channel anybody(test.server.target(),
                              {.tls = spanwire::tls_options{.danger_accept_any_certificate = true}});
    CHECK_OK(co_await anybody.unary("/test.Test/Echo", "x"));
  }(test, made));
}

TEST(clients_show_certificates) {
  certificates made;
  spanwire::tls_options tls = made.server();
  tls.ca_file = made.file("ca.pem");
  pair test({.tls = tls});
  CHECK_OK(test.server.unary("/test.Test/Peer", [](bytes, context &context) -> task<result<bytes>> {
    co_return bytes::copy(context.peer_certificate());
  }));
  test.start({.tls = spanwire::tls_options{
                  .ca_file = made.file("ca.pem"),
                  .certificate_pem = made.text("client.pem"),
                  .key_pem = made.text("client.key"),
              }});
  test.run([](pair &test, certificates &made) -> task<> {
    auto shown = co_await test.channel.unary("/test.Test/Peer", "x");
    CHECK_OK(shown);
    CHECK(shown->message.size() > 100 && shown->message.data()[0] == std::byte{0x30});
    spanwire::channel nobody(test.server.target(), {.tls = spanwire::tls_options{.ca_file = made.file("ca.pem")}});
    CHECK_CODE(unavailable, (co_await nobody.unary("/test.Test/Echo", "x")).status());
  }(test, made));
}

TEST(interceptors_see_every_call) {
  pair test;
  std::string log;
  CHECK_OK(test.server.intercept({.event = [&](spanwire::seen_event &event) {
    if (event.type() != SPANWIRE_EVENT_REQUEST) return;
    log += event.method();
    if (!event.metadata().contains("x-token")) {
      CHECK_OK(event.refuse({spanwire::code::unauthenticated, "who are you"}));
    }
  }}));
  test.start();
  CHECK_CODE(unauthenticated, test.loop.run([](pair &test) -> task<status> {
    co_return (co_await test.channel.unary("/test.Test/Echo", "x")).status();
  }(test)));
  CHECK(log == "/test.Test/Echo");
  bool refuse = false;
  int ended = 0;
  CHECK_OK(test.channel.intercept({
      .start = [&](spanwire::draft &call) -> status {
        if (refuse) return {spanwire::code::permission_denied, "not now"};
        CHECK(call.method().starts_with("/test.Test/"));
        CHECK_OK(call.append_metadata("x-token", "secret"));
        return call.set_timeout(60s);
      },
      .event = [&](spanwire::seen_event &event) { ended += event.type() == SPANWIRE_EVENT_DONE; },
  }));
  test.run([](pair &test, bool &refuse) -> task<> {
    auto answer = co_await test.channel.unary("/test.Test/Echo", "x");
    CHECK_OK(answer);
    CHECK(answer->headers.find("x-token") == "secret");
    spanwire::call answers = co_await test.channel.server_streaming("/test.Test/Count", "3");
    CHECK_OK(co_await answers.finish());
    refuse = true;
    status refused = (co_await test.channel.unary("/test.Test/Echo", "x")).status();
    CHECK_CODE(permission_denied, refused);
    CHECK(refused.message() == "not now");
    spanwire::call chat = co_await test.channel.bidi("/test.Test/Chat");
    CHECK_CODE(permission_denied, co_await chat.finish());
  }(test, refuse));
  CHECK(ended == 4);
}

#if defined(__cpp_exceptions)
TEST(an_interceptor_that_throws_fails_the_call) {
  pair test;
  test.start();
  CHECK_OK(test.channel.intercept({
      .start = [](spanwire::draft &) -> status { throw std::logic_error("a secret"); },
      .event = [](spanwire::seen_event &) { throw std::logic_error("ignored"); },
  }));
  CHECK_CODE(internal, test.loop.run([](pair &test) -> task<status> {
    co_return (co_await test.channel.unary("/test.Test/Echo", "x")).status();
  }(test)));
  CHECK_OK(test.server.shutdown_blocking(10s));
}
#endif

RUN_TESTS()
