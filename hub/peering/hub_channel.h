// What a session between hubs runs over: the connection as it is, or mutual TLS on it where the cluster has
// certificates (docs/xshadow.md section 2). Then a certificate says who the other side is, never its address,
// and the proofs of the session are bound to this very channel. Used by Link and Discovery (client) and
// PeerServer. The caller's watchdog bounds the time.
#pragma once

#include <memory>
#include <string>

#include "hub/net/runtime.h"
#include "hub/net/tls_stream.h"

namespace umbra::hub {

/// What is known of the other side once the channel stands.
struct HubTrust {
  bool is_certified = false;
  CertificateNames names;  ///< of its certificate
  std::string proof_key;   ///< for hub_proof(): the secret, then what only the two ends of this channel know
  /// May it be this hub? Without certificates the proof alone decides.
  [[nodiscard]] bool may_be(const std::string& hub) const { return !is_certified || names_hub(names, hub); }
};

/// The stream to use instead of `connected`; `tls` is the same one, or null when it is plain.
struct HubChannel {
  HubChannel(const Runtime& runtime, std::unique_ptr<Stream> connected, bool is_server);
  std::unique_ptr<Stream> stream;
  TlsStream* tls = nullptr;
};

/// The handshake, where there is one (`tls` not null; it must outlive the call). The error says what was
/// wrong.
Task<Result<HubTrust>> secure_hub_channel(TlsStream* tls, std::string secret);

}  // namespace umbra::hub
