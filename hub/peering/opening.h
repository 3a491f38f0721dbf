// How a session between hubs begins, as the client sees it: greeting, XHUB, the server's proof. Used by Link,
// which goes on with its own proof, and by Discovery, which only wants to know who listens at an address.
// Sections 2 and 11 of docs/xshadow.md. The caller's watchdog bounds the time: closing the stream ends every
// wait here.
#pragma once

#include <optional>
#include <string>

#include "hub/net/stream.h"
#include "smtp/reply.h"
#include "smtp/shadow_verbs.h"

namespace umbra::hub {

/// The versions that one side speaks.
struct SpokenVersions {
  int lowest = smtp::shadow_version_lowest;
  int highest = smtp::shadow_version_highest;
  [[nodiscard]] bool contains(int version) const { return version >= lowest && version <= highest; }
};

struct Opening {
  enum class Kind : std::uint8_t {
    proved,         ///< the server is who it says: it knows the secret
    other_version,  ///< 504: it does not speak the version that was offered, nor a lower one of ours
    failed
  };
  Kind kind = Kind::failed;
  smtp::HubHello server;
  smtp::ShadowVersion version;
  std::string why;
};

/// One reply. `input` keeps what was read beyond it. Both must outlive the call. Nothing: the session has
/// ended.
Task<std::optional<smtp::Reply>> read_hub_reply(Stream& stream, std::string& input);
/// Waits for the greeting. A hello is made after it: the server knows that the sequence in it is not older
/// than what it had heard by then.
Task<bool> read_hub_greeting(Stream& stream, std::string& input);

/// Behind the greeting: says hello and checks the server's proof; our own is not given. Stream and input must
/// outlive the call.
Task<Opening> open_hub_session(Stream& stream, std::string& input, smtp::HubHello own, std::string secret,
                               int offered, SpokenVersions spoken);

}  // namespace umbra::hub
