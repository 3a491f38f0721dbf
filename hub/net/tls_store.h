// All certificates of a hub: one place per listener, route and cluster that uses TLS, each with its present
// context. Streams take the context when they begin and keep it, so that a reload touches none of them. A
// reload that finds something wrong in a place changes nothing there: the former certificate stays, and the
// place says why until a reload succeeds.
//
// Sessions are not resumed across a change of files: what was checked against former authorities is checked
// again. Owned by the hub, home thread; loading reads a few files and blocks for that long.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/metrics.h"
#include "hub/net/tls_context.h"

namespace umbra::hub {

class TlsPlace {
 public:
  TlsPlace(std::string name, TlsOptions options) : name_(std::move(name)), options_(std::move(options)) {}

  /// Reads the files anew. `must_be_valid`: certificates that are not valid now are refused too.
  Result<void> load(bool must_be_valid);
  /// What new streams use. Null when it cannot be made (only where no files are named and nothing was
  /// loaded).
  std::shared_ptr<const TlsContext> context();
  /// Of the cluster, where the same files serve both sides: what links to other hubs use.
  [[nodiscard]] std::shared_ptr<const TlsContext> client_context() const { return client_context_; }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool has_files() const {
    return !options_.identities.empty() || !options_.authorities.empty();
  }
  [[nodiscard]] const TlsOptions& options() const { return options_; }
  /// Why its last load was refused, or what is wrong with what is in use; empty: all is well.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  std::string name_;
  TlsOptions options_;
  std::shared_ptr<const TlsContext> context_;
  std::shared_ptr<const TlsContext> client_context_;
  std::string problem_;
};

/// What came of a place in a reload.
struct CertificateReport {
  std::string place;
  std::string problem;                     ///< refused: why; empty: loaded
  WallTime valid_until = WallTime::max();  ///< of what is in use; max(): it has no certificate of its own
  std::vector<std::string> names;
  std::vector<CertificateFacts> certificates{};  ///< in use: the first is for whom names no other (SNI)
};

class TlsStore {
 public:
  using Places = std::map<std::string, std::shared_ptr<TlsPlace>>;

  explicit TlsStore(const Config& config);

  /// At start: fails where files cannot be used. A certificate that is not valid now is used, and named as a
  /// problem.
  Result<void> load(EventLog& log);
  /// Place by place; logs and counts what is refused.
  std::vector<CertificateReport> reload(EventLog& log, Metrics& metrics);
  [[nodiscard]] std::vector<CertificateReport> report();

  /// The places of another configuration: those that are the same, and new ones, loaded. Fails where one
  /// cannot be used; nothing has changed then. replace() puts them in force; whoever has a place of before
  /// keeps it.
  [[nodiscard]] Result<Places> places_for(const Config& config) const;
  void replace(Places places) { places_ = std::move(places); }

  /// Null where TLS is not used.
  std::shared_ptr<TlsPlace> listener(const std::string& name) { return find("listeners." + name); }
  std::shared_ptr<TlsPlace> route(const std::string& name) { return find("routes." + name); }
  /// Next hops that the operator named, and no route: encrypted where they offer it.
  std::shared_ptr<TlsPlace> named_hosts() { return find("named_hosts"); }
  std::shared_ptr<TlsPlace> cluster() { return find("cluster"); }
  std::shared_ptr<TlsPlace> admin() { return find("admin"); }

 private:
  std::shared_ptr<TlsPlace> find(const std::string& name);
  Places places_;
};

/// What `umbra check` finds wrong with the files: path of the key in the configuration, and what is wrong.
std::vector<std::pair<std::string, std::string>> tls_problems(const Config& config);

}  // namespace umbra::hub
