// Connections to Unix sockets of this machine, as streams.
#pragma once

#include "hub/net/stream.h"

namespace umbra::hub {

/// Fails with timed_out at the deadline.
Task<Result<std::unique_ptr<Stream>>> connect_unix(asio::io_context& io, std::string path, MonotonicTime deadline);

}  // namespace umbra::hub
