// Messages both ways at once: what one says, all hear.
//
//   build/chat server 127.0.0.1:50052
//   build/chat client 127.0.0.1:50052 ada
//   build/chat client 127.0.0.1:50052 grace
#include <poll.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "chat/v1/chat.spanwire.hpp"
#include "common.hpp"

using chat::v1::Said;
using chat::v1::Say;

// What one coroutine waits for until another one tells it. Both run on one loop.
class News {
 public:
  explicit News(spanwire::loop &loop) : loop_(loop) {}

  void tell() {
    if (auto waiting = std::exchange(waiting_, nullptr)) loop_.post([waiting] { waiting.resume(); });
  }

  auto operator co_await() {
    struct awaiter {
      News &news;
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> caller) const { news.waiting_ = caller; }
      void await_resume() const {}
    };
    return awaiter{*this};
  }

 private:
  spanwire::loop &loop_;
  std::coroutine_handle<> waiting_;
};

// ---- server: one loop on one thread, so nothing here needs a lock ----

// What a listener may be behind, in messages.
constexpr std::size_t backlog = 256;

struct Member {
  std::string name;
  News news;
  std::deque<Said> unheard;
  bool leaving = false;  // it has half-closed, and still gets what was said before
};

class Room final : public chat::v1::ChatService {
 public:
  explicit Room(spanwire::loop &loop) : loop_(loop) {}

 private:
  spanwire::task<spanwire::status> Join(spanwire::reader_of<Say> &requests, spanwire::writer_of<Said> &replies,
                                        spanwire::context &context) override {
    auto name = context.metadata().find("chat-name");
    if (!name) co_return spanwire::status(spanwire::code::invalid_argument, "the metadata have no chat-name");
    auto member = members_.insert(members_.end(), Member{std::string(*name), News(loop_), {}});
    tell("", member->name + " joined");
    auto telling = loop_.spawn(listen(*member, replies));
    while (auto say = co_await requests.next()) tell(member->name, say->text());
    member->leaving = true;
    member->news.tell();
    spanwire::status heard = co_await telling;
    std::string left = member->name + " left";
    members_.erase(member);
    tell("", left);
    co_return heard ? requests.status() : heard;
  }

  // Sends a member what it has not heard.
  spanwire::task<spanwire::status> listen(Member &member, spanwire::writer_of<Said> &replies) {
    for (;;) {
      if (member.unheard.size() > backlog) {
        co_return spanwire::status(spanwire::code::resource_exhausted,
                                   std::to_string(member.unheard.size()) + " messages came faster than you read");
      }
      if (!member.unheard.empty()) {
        Said said = std::move(member.unheard.front());
        member.unheard.pop_front();
        if (spanwire::status sent = co_await replies.send(said); !sent) co_return sent;
      } else if (member.leaving) {
        co_return spanwire::status();
      } else {
        co_await member.news;
      }
    }
  }

  void tell(const std::string &name, const std::string &text) {
    Said said;
    said.set_name(name);
    said.set_text(text);
    for (Member &member : members_) {
      // One that is too far behind already is on its way out.
      if (member.unheard.size() <= backlog) member.unheard.push_back(said);
      member.news.tell();
    }
  }

  spanwire::loop &loop_;
  std::list<Member> members_;
};

int server(const char *address) {
  spanwire::loop loop;
  Room room(loop);
  spanwire::server server({.address = address});
  if (spanwire::status added = room.register_with(server); !added) return outcome(added);
  return serve(server, loop);
}

// ---- client: the program's own loop waits for the keyboard and for the server ----

// What was typed and not said yet.
struct Typed {
  News news;
  std::string text;
  bool ended = false;

  bool complete() const { return text.find('\n') != std::string::npos; }

  void read() {
    std::array<char, 4096> more;
    ssize_t count = ::read(STDIN_FILENO, more.data(), more.size());
    ended = count <= 0;
    if (count > 0) text.append(more.data(), static_cast<std::size_t>(count));
    if (ended && !text.empty() && text.back() != '\n') text += '\n';
    news.tell();
  }
};

spanwire::task<void> say_lines(Typed &typed, spanwire::bidi_call<Say, Said> &call) {
  while (!typed.ended || typed.complete()) {
    if (!typed.complete()) {
      co_await typed.news;
      continue;
    }
    Say say;
    say.set_text(typed.text.substr(0, typed.text.find('\n')));
    typed.text.erase(0, say.text().size() + 1);
    // A failure means that the call is over; finish() says why.
    if (!co_await call.send(say)) co_return;
  }
  call.half_close();
}

spanwire::task<spanwire::status> chat_along(spanwire::loop &loop, const chat::v1::ChatClient &chat,
                                            const char *name, Typed &typed) {
  spanwire::call_options options{.metadata = {{"chat-name", name}}, .wait_for_ready = true};
  auto call = co_await chat.Join(options);
  auto saying = loop.spawn(say_lines(typed, call));
  while (auto said = co_await call.next()) {
    std::cout << (said->name().empty() ? "* " : said->name() + ": ") << said->text() << std::endl;
  }
  co_return co_await call.finish();
}

int client(const char *target, const char *name) {
  spanwire::channel channel(target);
  chat::v1::ChatClient chat(channel);
  spanwire::loop loop;
  Typed typed{News(loop), {}};
  std::optional<spanwire::status> ended;
  auto chatting = [&]() -> spanwire::task<void> { ended = co_await chat_along(loop, chat, name, typed); };
  loop.spawn(chatting());
  while (!ended) {
    std::array<pollfd, 2> waiting{{{loop.descriptor(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    // Lines that wait for room come first.
    bool listens = !typed.ended && !typed.complete();
    if (::poll(waiting.data(), listens ? 2 : 1, -1) < 0) return 1;
    if (listens && waiting[1].revents != 0) typed.read();
    loop.poll();
  }
  return outcome(*ended);
}

int main(int argc, char **argv) {
  std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "server") return server(argv[2]);
  if (arguments.size() == 3 && arguments[0] == "client") return client(argv[2], argv[3]);
  std::cerr << "usage: chat server ADDRESS | client TARGET NAME\n";
  return 1;
}
