// What is passed in to everything of a hub: the event loop, randomness and the network. Real or simulated.
#pragma once

#include "base/random.h"
#include "hub/net/stream.h"

namespace umbra::hub {

class TlsStore;

struct Runtime {
  asio::io_context& io;
  Random& random;
  Network& network;
  Resolver& resolver;
  TlsStore* tls = nullptr;  ///< null: everything is plain
};

}  // namespace umbra::hub
