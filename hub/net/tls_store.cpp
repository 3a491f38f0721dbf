#include "hub/net/tls_store.h"

namespace umbra::hub {
namespace {

std::vector<TlsFiles> identities_of(const TlsFiles& files) {
  return files.certificate.empty() ? std::vector<TlsFiles>{} : std::vector<TlsFiles>{files};
}

TlsOptions options_of(const ListenerTlsConfig& tls) {
  using Clients = ListenerTlsConfig::ClientCertificates;
  TlsOptions options;
  options.is_server = true;
  options.identities = identities_of(tls.files);
  options.identities.insert(options.identities.end(), tls.more_certificates.begin(),
                            tls.more_certificates.end());
  options.minimum_version = tls.minimum_version;
  if (tls.client_certificates == Clients::request) options.peer = TlsOptions::Peer::asked;
  if (tls.client_certificates == Clients::require) options.peer = TlsOptions::Peer::checked;
  if (tls.client_certificates != Clients::none) options.authorities = tls.client_ca;
  return options;
}

TlsOptions options_of(const RouteTlsConfig& tls) {
  TlsOptions options;
  options.identities = identities_of(tls.files);
  options.minimum_version = tls.minimum_version;
  if (tls.policy == RouteTlsConfig::Policy::verify) {
    options.peer = TlsOptions::Peer::checked;
    options.authorities = tls.ca;
  }
  return options;
}

/// Hub sessions are few and long: each is checked afresh, none resumed.
TlsOptions options_of(const Config& config) {
  TlsOptions options;
  options.is_server = true;
  options.identities = identities_of(config.cluster.tls.files);
  options.minimum_version = TlsVersion::v1_3;
  options.peer = TlsOptions::Peer::checked;
  options.authorities = config.cluster.tls.ca;
  options.may_resume = false;
  options.own_name = config.hub_name;
  return options;
}

/// A certificate may be shown, and need not be: health and metrics are for everybody. Never resumed: who
/// shows none is nobody.
TlsOptions options_of(const AdminTlsConfig& tls) {
  TlsOptions options;
  options.is_server = true;
  options.identities = identities_of(tls.files);
  if (!tls.client_ca.empty()) options.peer = TlsOptions::Peer::asked;
  options.authorities = tls.client_ca;
  options.may_resume = false;
  return options;
}

std::string validity_problem(const TlsContext& context, WallTime now) {
  if (now >= context.valid_until()) return "the certificate, or one that leads to its root, has expired";
  if (now < context.valid_from()) return "the certificate is not valid yet";
  return {};
}

std::string to_text(const Error& error) {
  bool is_told = error.code == std::errc::invalid_argument;
  return is_told ? error.what : error.what + ": " + error.code.message();
}

TlsStore::Places make_places(const Config& config) {
  TlsStore::Places places;
  auto add = [&](const std::string& name, TlsOptions options) {
    places.try_emplace(name, std::make_shared<TlsPlace>(name, std::move(options)));
  };
  for (const auto& listener : config.listeners)
    if (listener.tls.mode != ListenerTlsConfig::Mode::none)
      add("listeners." + listener.name, options_of(listener.tls));
  for (const auto& route : config.routes)
    if (route.tls.policy != RouteTlsConfig::Policy::none) add("routes." + route.name, options_of(route.tls));
  add("named_hosts", options_of(RouteTlsConfig{}));
  if (config.cluster.tls.enabled()) add("cluster", options_of(config));
  if (config.admin.tls.enabled()) add("admin", options_of(config.admin.tls));
  return places;
}

}  // namespace

Result<void> TlsPlace::load(bool must_be_valid) {
  const auto now = WallClock::now();
  auto made = TlsContext::make(options_, now);
  Result<std::shared_ptr<const TlsContext>> client = std::shared_ptr<const TlsContext>{};
  if (made && !options_.own_name.empty()) {
    auto other_side = options_;
    other_side.is_server = false;
    client = TlsContext::make(other_side, now);
  }
  if (!made || !client) {
    auto& error = made ? client.error() : made.error();
    problem_ = to_text(error);
    return std::unexpected(error);
  }
  problem_ = validity_problem(**made, now);
  if (must_be_valid && !problem_.empty())
    return failure(std::errc::invalid_argument, options_.identities.front().certificate + ": " + problem_);
  context_ = std::move(*made);
  client_context_ = std::move(*client);
  return {};
}

std::shared_ptr<const TlsContext> TlsPlace::context() {
  if (!context_) (void)load(false);
  return context_;
}

TlsStore::TlsStore(const Config& config) : places_(make_places(config)) {}

Result<TlsStore::Places> TlsStore::places_for(const Config& config) const {
  auto places = make_places(config);
  for (auto& [name, place] : places) {
    auto found = places_.find(name);
    if (found != places_.end() && found->second->options() == place->options()) {
      place = found->second;
    } else if (place->has_files()) {
      if (auto loaded = place->load(true); !loaded)
        return failure(loaded.error().code, name + ": " + to_text(loaded.error()));
    }
  }
  return places;
}

Result<void> TlsStore::load(EventLog& log) {
  for (auto& [name, place] : places_) {
    if (!place->has_files()) continue;
    if (auto loaded = place->load(false); !loaded)
      return failure(loaded.error().code, name + ": " + to_text(loaded.error()));
    if (!place->problem().empty())
      log.line(LogLevel::error, "certificate not valid", {{"place", name}, {"problem", place->problem()}});
  }
  return {};
}

std::vector<CertificateReport> TlsStore::reload(EventLog& log, Metrics& metrics) {
  for (auto& [name, place] : places_) {
    if (!place->has_files()) continue;
    if (auto loaded = place->load(true); loaded) {
      log.line(LogLevel::info, "certificate loaded", {{"place", name}});
    } else {
      ++metrics.tls_reload_failures_total;
      log.line(LogLevel::error, "certificate refused, the former one stays in use",
               {{"place", name}, {"problem", to_text(loaded.error())}});
    }
  }
  return report();
}

std::vector<CertificateReport> TlsStore::report() {
  std::vector<CertificateReport> reports;
  for (auto& [name, place] : places_) {
    if (!place->has_files()) continue;
    CertificateReport one{name, place->problem(), WallTime::max(), {}};
    if (auto context = place->context()) {
      one.valid_until = context->valid_until();
      one.names = context->names().dns;
      for (const auto* certificate : context->certificates())
        one.certificates.push_back(facts_of(*certificate));
      if (one.problem.empty()) one.problem = validity_problem(*context, WallClock::now());
    }
    reports.push_back(std::move(one));
  }
  return reports;
}

std::shared_ptr<TlsPlace> TlsStore::find(const std::string& name) {
  auto found = places_.find(name);
  return found == places_.end() ? nullptr : found->second;
}

std::vector<std::pair<std::string, std::string>> tls_problems(const Config& config) {
  std::vector<std::pair<std::string, std::string>> problems;
  auto look = [&](const std::string& path, const TlsOptions& options) {
    if (options.identities.empty() && options.authorities.empty()) return;
    if (auto made = TlsContext::make(options, WallClock::now()); !made)
      problems.emplace_back(path, to_text(made.error()));
  };
  for (std::size_t i = 0; i < config.listeners.size(); ++i)
    if (config.listeners[i].tls.mode != ListenerTlsConfig::Mode::none)
      look("listeners[" + std::to_string(i) + "].tls", options_of(config.listeners[i].tls));
  for (std::size_t i = 0; i < config.routes.size(); ++i)
    if (config.routes[i].tls.policy != RouteTlsConfig::Policy::none)
      look("routes[" + std::to_string(i) + "].tls", options_of(config.routes[i].tls));
  if (config.cluster.tls.enabled()) look("cluster.tls", options_of(config));
  if (config.admin.tls.enabled()) look("admin.tls", options_of(config.admin.tls));
  return problems;
}

}  // namespace umbra::hub
