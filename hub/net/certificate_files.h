// Certificates and keys from PEM files, checked while they are read: what is handed out can be used. Blocks
// (a few small files): at start and at a reload only. Errors say which file and what is wrong with it.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace umbra::hub {

template <auto Free>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using CertificatePtr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslDeleter<SSL_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, OpensslDeleter<SSL_SESSION_free>>;

/// A certificate, those that lead from it to a root, and its key.
struct TlsIdentity {
  CertificatePtr certificate;
  std::vector<CertificatePtr> chain;
  KeyPtr key;
};

/// Reads both; an empty `key_file`: the key stands in the same file. Refused: what is not PEM, a key behind a
/// passphrase or readable by everybody, a key that is not this certificate's, a chain that does not lead on
/// from it.
Result<TlsIdentity> read_identity(const std::string& certificate_file, const std::string& key_file);
/// At least one certificate.
Result<std::vector<CertificatePtr>> read_authorities(const std::string& file);

/// What a certificate is made out for: its DNS names and URIs (subject alternative names), as they are
/// written there.
struct CertificateNames {
  std::vector<std::string> dns;
  std::vector<std::string> uris;
};
CertificateNames names_of(const X509& certificate);
/// The validity of a certificate, or of the first to end of an identity's.
WallTime valid_from(const X509& certificate);
WallTime valid_until(const X509& certificate);
WallTime valid_until(const TlsIdentity& identity);

/// What an operator wants to know of a certificate.
struct CertificateFacts {
  std::string subject;  ///< RFC 2253
  std::string issuer;
  std::string serial;       ///< hexadecimal
  std::string fingerprint;  ///< SHA-256, hexadecimal
  std::vector<std::string> names;
  WallTime valid_from{};
  WallTime valid_until{};
};
CertificateFacts facts_of(const X509& certificate);

std::int64_t unix_seconds(WallTime time);

/// What a certificate may call a hub: its name as a DNS name, or this. Compared octet by octet; no wildcards.
std::string hub_uri(std::string_view hub);
bool names_hub(const CertificateNames& names, std::string_view hub);

/// What OpenSSL noted of a failure, newest last; its list is empty afterwards.
std::string openssl_problem();

}  // namespace umbra::hub
