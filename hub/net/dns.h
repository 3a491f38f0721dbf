// Real name resolution: Resolver over c-ares, on the hub's event loop. Servers and their port may be
// configured, so that tests run a name server of their own. Names come from the hosts file first, then from
// DNS.
//
// A name that does not exist, or has no such record, gives an empty list; SERVFAIL, a timeout or a refusal is
// an Error, so that nobody takes a name server in trouble for a domain that is gone. When a host name is not
// found as it is, the search domains of resolv.conf are tried (containers name one another like that);
// domains of mail never are. Not done: DNSSEC; domains with octets above 127 (their A-label form must be
// used).
#pragma once

#include <memory>

#include "hub/config/config.h"
#include "hub/net/stream.h"

namespace umbra::hub {

/// Throws std::runtime_error when c-ares cannot be set up (start-up only). Must outlive every query.
std::unique_ptr<Resolver> make_cares_resolver(asio::io_context& io, const ResolverConfig& config);

}  // namespace umbra::hub
