// In front of the C++ snippets of docs/c.md.
#include <cassert>
#include <iostream>
#include <shop/v1/orders.spanwire.hpp>

using namespace shop::v1;
using namespace spanwire;
using namespace std::chrono_literals;

task<status> snippet(OrdersClient &orders, spanwire::loop &loop);

// Runs the snippet against the shop at the target that is the argument.
int main(int argc, char **argv) {
  spanwire::channel channel(argc == 2 ? argv[1] : "");
  OrdersClient orders(channel);
  spanwire::loop loop;
  status ended = loop.run(snippet(orders, loop));
  if (!ended) std::cerr << ended.to_string() << '\n';
  return ended ? 0 : 1;
}
