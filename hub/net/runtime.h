// What is passed in to everything of a hub: the event loop, randomness and the network. Real or simulated.
#pragma once

#include "base/random.h"
#include "hub/net/stream.h"

namespace umbra::hub {

class TlsStore;
class Authenticators;
class SessionRecords;

struct Runtime {
  asio::io_context& io;
  Random& random;
  Network& network;
  Resolver& resolver;
  TlsStore* tls = nullptr;                   ///< null: everything is plain
  Authenticators* authenticators = nullptr;  ///< null: nobody can log on
  SessionRecords* records = nullptr;         ///< null: nobody wants to know what is said on connections
};

}  // namespace umbra::hub
