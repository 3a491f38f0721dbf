// Who is who at the admin address (TCP), and what he may do: by a bearer token (RFC 6750) or by the
// certificate that his connection showed. Refusals are logged, a few lines a minute, and a source that is
// refused again and again is answered late and then with 429; credentials that are good are good from there
// all the same, so that nobody locks out others behind one address. Bounded memory. Home thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/rate_window.h"
#include "hub/admin/api.h"
#include "hub/admin/tokens.h"
#include "hub/config/config.h"
#include "hub/logs/event_log.h"
#include "hub/net/certificate_files.h"

namespace umbra::hub {

/// How a connection came in.
struct AdminEntrance {
  Endpoint remote;
  bool is_encrypted = false;
  CertificateNames names = {};  ///< of a certificate that holds
};

class Doorkeeper {
 public:
  static constexpr std::uint32_t refusals_per_minute = 30;  ///< of one source; then 429
  static constexpr std::uint32_t lines_per_minute = 10;
  static constexpr std::size_t sources_max = 1024;  ///< more share one count
  static constexpr Duration refusal_delay = std::chrono::milliseconds(500);

  /// `config` is the one in force; see configuration_changed().
  Doorkeeper(const AdminConfig& config, EventLog& log);
  void configuration_changed();

  /// Somebody may do more here than look at health and metrics.
  [[nodiscard]] bool has_credentials() const {
    return !tokens_.empty() || (config_.tls.enabled() && !config_.tls.client_ca.empty());
  }

  struct Verdict {
    AdminRole role = AdminRole::none;
    std::string by;            ///< "token:NAME", "certificate:NAME"
    ApiResponse refusal = {};  ///< without a role: to be sent after refusal_delay
  };
  /// `authorization`: that field of the request, empty without one.
  Verdict look(const AdminEntrance& entrance, std::string_view authorization, std::string_view method,
               std::string_view target);
  /// He is known, and may not do what he asked for.
  void note_forbidden(const AdminEntrance& entrance, const std::string& by, std::string_view method,
                      std::string_view target);

 private:
  [[nodiscard]] Verdict by_certificate(const CertificateNames& names) const;
  ApiResponse refuse(const AdminEntrance& entrance, unsigned status, const std::string& why,
                     std::string_view method, std::string_view target);
  void log_refusal(const AdminEntrance& entrance, unsigned status, std::string_view why,
                   std::string_view method, std::string_view target);
  RateWindow& refusals_of(const std::string& host, MonotonicTime now);

  const AdminConfig& config_;
  EventLog& log_;
  std::vector<AdminToken> tokens_;
  std::map<std::string, RateWindow> refusals_;
  RateWindow other_refusals_;
  RateWindow lines_;
  std::int64_t lines_left_out_ = 0;
};

}  // namespace umbra::hub
