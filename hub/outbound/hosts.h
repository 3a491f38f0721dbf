// From a destination to the hosts that may take its mail, with addresses, in the order to try them: smart
// hosts by preference, or MX records (RFC 5321 section 5.1, implicit MX, RFC 7505 null MX). Called when a
// connection is opened.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/net/runtime.h"
#include "hub/outbound/router.h"
#include "smtp/reply.h"

namespace umbra::hub {

struct HostAddress {
  std::string name;   ///< as configured or as the MX record says; for logs and Remote-MTA
  Endpoint endpoint;  ///< its address
  int preference = 0;
  bool operator==(const HostAddress&) const = default;
};

struct HostPlan {
  std::vector<HostAddress> hosts;     ///< by preference; addresses of one host together
  std::optional<smtp::Reply> bounce;  ///< the mail can never be delivered: why
  std::string defer;                  ///< nothing known now: why
};

/// Who we are, to find ourselves in a list of mail exchangers (RFC 5321 section 5.1: loops).
struct OwnNames {
  std::vector<std::string> names;   ///< host names
  std::vector<Endpoint> addresses;  ///< where we listen; only literals that are not "any"
};
OwnNames own_names(const Config& config);

Task<HostPlan> find_hosts(Resolver& resolver, Target target, OwnNames own);

/// Shares the load: shuffles the hosts of equal preference, keeps the addresses of one host together.
void shuffle_equal(std::vector<HostAddress>& hosts, Random& random);

}  // namespace umbra::hub
