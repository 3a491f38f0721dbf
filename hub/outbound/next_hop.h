// A next hop that an operator names in place of a message's routes (`umbra queue reroute --to`): what he may
// write, the destination that it becomes, and what that stands for. Pure; the syntax of hosts is that of
// `routes[].hosts`.
//
//   HOST[:PORT], ADDRESS[:PORT], [IPv6][:PORT]   this host: "host:relay.example:25"
//   mx:DOMAIN[:PORT]                             its mail exchangers: "mx:example.org:25"
//   route:NAME                                   the smart hosts of that route: "route:NAME"
//   config                                       as the routes say, again: ""
//
// A host or domain named so is spoken to as by a route that says nothing else: TLS where it is offered,
// nobody logs on, the retries of `delivery`.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "hub/outbound/router.h"

namespace umbra::hub {

/// The destination, or what was expected.
std::expected<std::string, std::string> parse_next_hop(std::string_view text);

/// It is of the kinds "host:" or "mx:", which no configuration knows.
bool is_named_by_operator(std::string_view destination);

/// What a destination of these kinds stands for; nothing for all others, and for what parse_next_hop() would
/// not have made: another hub may have told it. Its route has the name of the destination.
std::optional<Target> target_named_by_operator(std::string_view destination);

}  // namespace umbra::hub
