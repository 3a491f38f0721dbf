// What a hub can do beyond version 1 of docs/xshadow.md: keywords of its EHLO reply, behind "XSHADOW
// <version>". A hub sends a command that is not in version 1 only on a session whose server has offered its
// keyword (Link::offers), so that hubs of one release before or after understand each other. A new command: a
// keyword here, in `shadow_capabilities`, and in section 11 of the specification.
#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>

#include "smtp/configuration_lines.h"
#include "smtp/shadow_queries.h"

namespace umbra::smtp {

inline constexpr std::string_view early_capability = "XEARLY";  ///< XCOPY BEGIN and END
inline constexpr std::string_view held_capability =
    "XHELD";  ///< XHAND without the body; the trail in an envelope
inline constexpr std::string_view protection_capability =
    "XPROTECTION";  ///< copies and zones in an envelope's flags
inline constexpr std::string_view resent_capability =
    "XRESENT";  ///< the flag of an envelope that was sent from a safety net
inline constexpr std::string_view note_capability =
    "XNOTE";  ///< XNOTE, NOTE in XCOPY, the history in XHAND's record
inline constexpr std::string_view next_hop_capability =
    "XNEXTHOP";  ///< the next hop in XNOTE, NOTE and the record of XHAND
inline constexpr std::string_view gone_capability = "XGONE";    ///< XGONE
inline constexpr std::string_view over_capability = "XOVER";    ///< XOVER
inline constexpr std::string_view level_capability = "XLEVEL";  ///< XLEVEL
inline constexpr std::string_view names_capability = "XNAMES";  ///< XCOPY with the names behind its line

/// Offered by this program to every hub that has proved itself.
inline constexpr std::array<std::string_view, 16> shadow_capabilities = {
    "XSUSPECT",
    early_capability,
    protection_capability,
    resent_capability,
    "XHAND",  // hand-over of ownership: XHAND, XBACK, "superseded" in XDONE
    held_capability,
    "XDRAIN",                  // a hub is drained or leaves: XSTATE, XREHOME
    configuration_capability,  // hubs tell one another how they are configured
    note_capability,
    next_hop_capability,
    gone_capability,  // which hubs have left, told by others
    names_capability,
    over_capability,   // which runs were ended, told by who takes over before it asks
    level_capability,  // how short of something a hub is
    query_capability,  // questions of operators, passed on: XQUERY, XANSWER
    order_capability,  // orders of operators, passed on: XORDER
};

using Keywords = std::set<std::string, std::less<>>;

/// The first words of the lines of an EHLO reply, in upper case; the line of the host name is left out.
Keywords parse_keywords(std::string_view ehlo_text);

}  // namespace umbra::smtp
