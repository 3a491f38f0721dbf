#include "hub/admin/doorkeeper.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <chrono>

#include "hub/admin/answers.h"
#include "hub/config/units.h"
#include "smtp/address.h"

namespace umbra::hub {
namespace {

constexpr std::size_t target_octets_logged = 200;
constexpr std::size_t token_octets_max = 512;

/// Of IPv6 the network: one machine has all of its addresses.
std::string source_of(const std::string& host) {
  ErrorCode error;
  const auto address = asio::ip::make_address(host, error);
  if (error || !address.is_v6()) return host;
  auto octets = address.to_v6().to_bytes();
  std::fill(octets.begin() + 8, octets.end(), static_cast<unsigned char>(0));
  return asio::ip::address_v6(octets).to_string();
}

/// "Bearer TOKEN"; empty: something else.
std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "Bearer ";
  if (!smtp::equals_ignoring_case(authorization.substr(0, scheme.size()), scheme)) return {};
  auto token = authorization.substr(scheme.size());
  while (token.starts_with(' ')) token.remove_prefix(1);
  return token.size() <= token_octets_max ? token : std::string_view{};
}

}  // namespace

Doorkeeper::Doorkeeper(const AdminConfig& config, EventLog& log) : config_(config), log_(log) {
  configuration_changed();
}

void Doorkeeper::configuration_changed() {
  tokens_.clear();
  if (config_.tokens.empty()) return;
  // What is in force was checked when it was read.
  if (auto tokens = parse_admin_tokens(config_.tokens)) tokens_ = std::move(*tokens);
}

Doorkeeper::Verdict Doorkeeper::by_certificate(const CertificateNames& names) const {
  auto any_of = [&](const std::vector<std::string>& wanted) {
    return std::ranges::find_if(names.dns, [&](const auto& name) {
      return std::ranges::any_of(wanted,
                                 [&](const auto& one) { return smtp::equals_ignoring_case(one, name); });
    });
  };
  if (auto found = any_of(config_.tls.client_names_write); found != names.dns.end())
    return {AdminRole::write, "certificate:" + *found, {}};
  if (auto found = any_of(config_.tls.client_names_read); found != names.dns.end())
    return {AdminRole::read, "certificate:" + *found, {}};
  return {};
}

Doorkeeper::Verdict Doorkeeper::look(const AdminEntrance& entrance, std::string_view authorization,
                                     std::string_view method, std::string_view target) {
  if (!entrance.is_encrypted && !config_.allow_without_tls &&
      !is_loopback(config_.address ? config_.address->host : std::string()))
    return {AdminRole::none, {}, refuse(entrance, 403, "only over TLS here", method, target)};
  if (authorization.empty()) {
    if (auto verdict = by_certificate(entrance.names); verdict.role != AdminRole::none) return verdict;
    return {AdminRole::none,
            {},
            refuse(entrance, 401,
                   entrance.names.dns.empty() ? "no credentials" : "a certificate of nobody who may come in",
                   method, target)};
  }
  // Who shows a token means it, whatever certificate he has.
  const auto token = bearer_token(authorization);
  const auto* found = token.empty() ? nullptr : find_token(tokens_, token);
  if (found == nullptr)
    return {AdminRole::none, {}, refuse(entrance, 401, "a token of nobody", method, target)};
  return {found->role, "token:" + found->name, {}};
}

ApiResponse Doorkeeper::refuse(const AdminEntrance& entrance, unsigned status, const std::string& why,
                               std::string_view method, std::string_view target) {
  const auto now = MonotonicClock::now();
  const auto wait = refusals_of(source_of(entrance.remote.host), now).take(now, refusals_per_minute);
  if (wait) status = 429;
  log_refusal(entrance, status, why, method, target);
  auto response = error_answer(status, wait ? "too many refused requests from your address" : why);
  if (wait)
    response.headers.emplace_back("Retry-After",
                                  std::to_string(std::chrono::ceil<std::chrono::seconds>(*wait).count()));
  if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"umbra\"");
  return response;
}

void Doorkeeper::note_forbidden(const AdminEntrance& entrance, const std::string& by, std::string_view method,
                                std::string_view target) {
  log_refusal(entrance, 403, by + " has the role read", method, target);
}

void Doorkeeper::log_refusal(const AdminEntrance& entrance, unsigned status, std::string_view why,
                             std::string_view method, std::string_view target) {
  if (lines_.take(MonotonicClock::now(), lines_per_minute)) {
    ++lines_left_out_;
    return;
  }
  log_.line(LogLevel::warning, "admin request refused",
            {{"source", std::string_view(entrance.remote.host)},
             {"status", static_cast<std::int64_t>(status)},
             {"why", why},
             {"method", method.substr(0, 20)},
             {"target", target.substr(0, target_octets_logged)},
             {"left_out_before", std::exchange(lines_left_out_, 0)}});
}

RateWindow& Doorkeeper::refusals_of(const std::string& host, MonotonicTime now) {
  if (auto found = refusals_.find(host); found != refusals_.end()) return found->second;
  if (refusals_.size() >= sources_max)
    std::erase_if(refusals_, [now](const auto& one) { return one.second.empty_at() <= now; });
  return refusals_.size() < sources_max ? refusals_[host] : other_refusals_;
}

}  // namespace umbra::hub
