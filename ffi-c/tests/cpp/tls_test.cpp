// TLS and mutual TLS.
// not under valgrind: it cannot follow the assembler code of the hash functions
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

TEST(callers_are_known_by_tokens_and_certificates) {
  certificates made;
  spanwire::tls_options tls = made.server();
  tls.ca_file = made.file("ca.pem");
  tls.client_certificate_optional = true;
  tls.more_certificates = {{.certificate_file = made.file("named.pem"), .key_file = made.file("named.key")}};
  spanwire::jwt_options jwt{.jwks_file = made.file("keys.json"),
                            .issuers = {"https://login.example.com"},
                            .audiences = {"orders"},
                            .unauthenticated_methods = {"/test.Test/Open"}};
  const char *policy = R"({"name": "p", "allow_rules": [
      {"name": "r", "source": {"principals": ["spiffe://example/client"]}}]})";
  pair test({.tls = tls, .jwt = jwt, .authorization_policy = policy});
  CHECK_OK(test.server.unary("/test.Test/Who", [](bytes, context &context) -> task<result<bytes>> {
    std::string who = context.subject() + " " + context.peer_names(spanwire::name::uri).at(0);
    if (context.claims().find("orders.read") == std::string::npos) who += " without scope";
    if (!context.peer_names(spanwire::name::dns).empty()) who += " " + context.peer_names(spanwire::name::dns)[0];
    co_return bytes::copy(who);
  }));
  spanwire::tls_options known{.ca_file = made.file("ca.pem"),
                              .certificate_file = made.file("client.pem"),
                              .key_file = made.file("client.key"),
                              .server_name = "shop.example"};
  test.start({.tls = known, .bearer_token_file = made.file("token")});
  test.run([](pair &test, certificates &made, spanwire::tls_options known) -> task<> {
    auto who = co_await test.channel.unary("/test.Test/Who", "x");
    CHECK_OK(who);
    CHECK(who->message.view() == "ada spiffe://example/client client.example");
    spanwire::channel tokenless(test.server.target(), {.tls = known});
    CHECK_CODE(unauthenticated, (co_await tokenless.unary("/test.Test/Who", "x")).status());
    CHECK_CODE(unimplemented, (co_await tokenless.unary("/test.Test/Open", "x")).status());
    spanwire::channel stranger(test.server.target(), {.tls = spanwire::tls_options{.ca_file = made.file("ca.pem")},
                                                      .bearer_token_file = made.file("token")});
    CHECK_CODE(permission_denied, (co_await stranger.unary("/test.Test/Who", "x")).status());
  }(test, made, known));
}

RUN_TESTS()
