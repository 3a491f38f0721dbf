#include "hub/authentication/sasl_client.h"

#include "base/ids.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

/// The iterations that a server's first message of SCRAM asks for ("r=..,s=..,i=4096"); nothing where it is
/// none.
std::optional<std::uint64_t> iterations_of(std::string_view message) {
  const auto at = message.find(",i=");
  if (!message.starts_with("r=") || at == std::string_view::npos) return std::nullopt;
  const auto value = message.substr(at + 3);
  return parse_number(value.substr(0, value.find(',')));
}

std::unexpected<Error> protocol_error(const std::string& what) {
  return failure(std::errc::protocol_error, what);
}

}  // namespace

std::string SaslClient::best_of(std::string_view offered) {
  for (std::string_view known : {"SCRAM-SHA-256", "PLAIN", "LOGIN"}) {
    for (auto rest = offered; !rest.empty();) {
      const auto word = rest.substr(0, rest.find(' '));
      if (smtp::equals_ignoring_case(word, known)) return std::string(known);
      rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    }
  }
  return {};
}

SaslClient::SaslClient(std::string mechanism, const std::string& user, const std::string& password)
    : mechanism_(std::move(mechanism)) {
  Gsasl* library = nullptr;
  UMBRA_ASSERT(gsasl_init(&library) == GSASL_OK);
  library_.reset(library);
  Gsasl_session* session = nullptr;
  UMBRA_ASSERT(gsasl_client_start(library, mechanism_.c_str(), &session) == GSASL_OK);
  session_.reset(session);
  gsasl_property_set(session, GSASL_AUTHID, user.c_str());
  gsasl_property_set(session, GSASL_PASSWORD, password.c_str());
}

Result<std::optional<std::string>> SaslClient::begin() {
  if (mechanism_ == "LOGIN") return std::nullopt;
  auto first = step({});
  if (!first) return std::unexpected(first.error());
  return std::optional(std::move(*first));
}

Result<std::string> SaslClient::answer(const std::string& challenge) {
  // The server has said all of it and so has this side: what is left is to agree.
  if (is_complete_) {
    if (challenge.empty()) return std::string();
    return protocol_error("one challenge too many");
  }
  if (mechanism_ == "SCRAM-SHA-256" && challenge.starts_with("r=")) {
    auto iterations = iterations_of(challenge);
    if (!iterations || *iterations < iterations_min || *iterations > iterations_max)
      return protocol_error("SCRAM with a number of iterations that is not between " +
                            std::to_string(iterations_min) + " and " + std::to_string(iterations_max));
  }
  return step(challenge);
}

Result<std::string> SaslClient::step(const std::string& challenge) {
  char* output = nullptr;
  std::size_t octets = 0;
  const int result = gsasl_step(session_.get(), challenge.data(), challenge.size(), &output, &octets);
  std::string text(output == nullptr ? "" : output, octets);
  gsasl_free(output);
  if (result != GSASL_OK && result != GSASL_NEEDS_MORE)
    return protocol_error(std::string(mechanism_) + ": " + gsasl_strerror(result));
  is_complete_ = result == GSASL_OK;
  return text;
}

}  // namespace umbra::hub
