#include "hub/peering/hub_channel.h"

#include "hub/net/tls_store.h"

namespace umbra::hub {
namespace {

constexpr std::string_view proof_label = "EXPORTER-umbra-xshadow-1";

}  // namespace

HubChannel::HubChannel(const Runtime& runtime, std::unique_ptr<Stream> connected, bool is_server)
    : stream(std::move(connected)) {
  auto place = runtime.tls == nullptr ? nullptr : runtime.tls->cluster();
  if (place == nullptr) return;
  auto context = is_server ? place->context() : place->client_context();
  UMBRA_ASSERT(context != nullptr);  // loaded at start; a reload never takes it away
  auto wrapped = std::make_unique<TlsStream>(runtime.io, std::move(stream), std::move(context));
  tls = wrapped.get();
  stream = std::move(wrapped);
}

Task<Result<HubTrust>> secure_hub_channel(TlsStream* tls, std::string secret) {
  HubTrust trust;
  trust.proof_key = std::move(secret);
  if (tls == nullptr) co_return trust;
  if (auto done = co_await tls->handshake(); !done) co_return std::unexpected(done.error());
  trust.is_certified = true;
  trust.names = tls->peer_names();
  trust.proof_key += tls->export_key(proof_label);
  co_return trust;
}

}  // namespace umbra::hub
