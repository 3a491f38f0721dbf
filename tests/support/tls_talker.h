// A client's side of TLS for tests that play the peer with plain functions: octets in, octets out, on
// OpenSSL's own memory and none of the code under test but the context. One thread.
#pragma once

#include <string>

#include "hub/net/tls_context.h"

namespace umbra::testing {

class TlsTalker {
 public:
  explicit TlsTalker(const hub::TlsOptions& options)
      : context_(*hub::TlsContext::make(options, WallClock::now())), ssl_(SSL_new(context_->get())) {
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl_.get()), hub::unix_seconds(WallClock::now()));
    SSL_set_connect_state(ssl_.get());
  }
  void take(const std::string& octets) {
    BIO_write(SSL_get_rbio(ssl_.get()), octets.data(), static_cast<int>(octets.size()));
  }
  std::string give() {
    std::string octets(64 << 10, '\0');
    int count = BIO_read(SSL_get_wbio(ssl_.get()), octets.data(), static_cast<int>(octets.size()));
    return octets.substr(0, count > 0 ? static_cast<std::size_t>(count) : 0);
  }
  bool shake() { return SSL_do_handshake(ssl_.get()) == 1; }
  void write(const std::string& text) {
    std::size_t written = 0;
    SSL_write_ex(ssl_.get(), text.data(), text.size(), &written);
  }
  std::string read() {
    std::string all;
    std::string piece(4096, '\0');
    std::size_t count = 0;
    while (SSL_read_ex(ssl_.get(), piece.data(), piece.size(), &count) == 1) all.append(piece, 0, count);
    return all;
  }
  std::string server_name() {
    const auto* certificate = SSL_get0_peer_certificate(ssl_.get());
    return certificate == nullptr ? "" : hub::names_of(*certificate).dns.at(0);
  }
  std::string export_key(std::string_view label) {
    std::string key(32, '\0');
    SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(key.data()), key.size(),
                               label.data(), label.size(), nullptr, 0, 0);
    return key;
  }
  bool was_told_the_end() { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  std::shared_ptr<const hub::TlsContext> context_;
  hub::SslPtr ssl_;
};

}  // namespace umbra::testing
