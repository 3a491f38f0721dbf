// What is passed in to everything of a hub: the event loop, randomness and the network. Real or simulated.
#pragma once

#include "base/random.h"
#include "hub/net/stream.h"

namespace umbra::hub {

struct Runtime {
  asio::io_context& io;
  Random& random;
  Network& network;
  Resolver& resolver;
};

}  // namespace umbra::hub
