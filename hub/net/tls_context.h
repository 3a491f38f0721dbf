// What TLS sessions of one place (a listener, a route, the cluster) have in common: certificate, key, whom to
// trust, versions. Made from files, then never changed: a reload makes another one, and streams under way
// keep theirs alive. TLS 1.2 and 1.3 (RFC 8446); renegotiation and compression are off.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hub/config/config.h"
#include "hub/net/certificate_files.h"

namespace umbra::hub {

struct TlsOptions {
  enum class Peer : std::uint8_t {
    unchecked,  ///< no certificate is asked for, or whatever the server shows is taken
    asked,      ///< server: a client may show one; one that does not hold counts as none
    checked     ///< must hold, or there is no session
  };
  bool is_server = false;
  std::vector<TlsFiles> identities;  ///< the first is for whom names no other (SNI); a client needs none
  TlsVersion minimum_version = TlsVersion::v1_2;
  Peer peer = Peer::unchecked;
  std::string
      authorities;  ///< file with the CAs that the peer's certificate must lead to; empty: the system's
  bool may_resume = true;
  std::string own_name;  ///< a hub's: the certificate must name it, and lead to `authorities`
  bool operator==(const TlsOptions&) const = default;
};

class TlsContext {
 public:
  /// Fails when a file cannot be used. Not looked at: whether the certificates are valid now (see the two
  /// below).
  static Result<std::shared_ptr<const TlsContext>> make(const TlsOptions& options, WallTime now);

  [[nodiscard]] bool is_server() const { return options_.is_server; }
  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }
  /// The first to end of all its own certificates; max() when it has none.
  [[nodiscard]] WallTime valid_until() const { return valid_until_; }
  [[nodiscard]] WallTime valid_from() const { return valid_from_; }
  /// Of the first identity.
  [[nodiscard]] const CertificateNames& names() const { return names_; }

  /// Its own, the first identity's first.
  [[nodiscard]] std::vector<const X509*> certificates() const;

  /// Client: sessions to be resumed, by what the caller takes for the same server. The newest of each, at
  /// most 1,000.
  void remember(const std::string& server, SessionPtr session) const;
  [[nodiscard]] SSL_SESSION* session_for(const std::string& server) const;

 private:
  explicit TlsContext(TlsOptions options) : options_(std::move(options)) {}
  Result<SslContextPtr> make_one(const TlsFiles* files, WallTime now);
  Result<void> set_identity(SSL_CTX& context, const TlsFiles& files, WallTime now);
  Result<void> set_trust(SSL_CTX& context) const;
  static int choose_by_name(SSL* ssl, int* alert, void* self);

  struct Remembered {
    SessionPtr session;
    std::list<std::string>::iterator age;
  };
  TlsOptions options_;
  SslContextPtr context_;
  struct Named {
    SslContextPtr context;
    CertificatePtr certificate;
  };
  std::vector<Named> named_;  // further identities
  CertificatePtr first_;
  CertificateNames names_;
  WallTime valid_from_ = WallTime::min();
  WallTime valid_until_ = WallTime::max();
  mutable std::map<std::string, Remembered> sessions_;
  mutable std::list<std::string> ages_;  // the oldest first
};

}  // namespace umbra::hub
