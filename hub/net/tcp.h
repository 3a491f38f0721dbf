// Real sockets: Network over TCP and, to this machine, Unix sockets.
#pragma once

#include "hub/net/stream.h"

namespace umbra::hub {

std::unique_ptr<Network> make_tcp_network(asio::io_context& io);

}  // namespace umbra::hub
